package locktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// member is a node of a cluster as one node sees it.
type member struct {
	id     string
	addr   string
	flags  []string
	master string // the ID of the node that it replicates, or "-"
	linked bool
	slots  [][2]int // first and last
}

func (m member) is(flags ...string) bool {
	return slices.ContainsFunc(flags, func(f string) bool { return slices.Contains(m.flags, f) })
}

func (m member) serves(slot int) bool {
	return slices.ContainsFunc(m.slots, func(s [2]int) bool { return s[0] <= slot && slot <= s[1] })
}

// clusterView is all that one node knows.
type clusterView []member

// parseView reads what CLUSTER NODES replies: a line for each node, of ID,
// address, flags, master, two times, epoch, link and the slots it serves. A
// node that moves a slot adds it to its own in brackets.
func parseView(text string) (clusterView, error) {
	var v clusterView
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("CLUSTER NODES: cannot read %q", line)
		}
		addr, _, _ := strings.Cut(f[1], "@")
		m := member{id: f[0], addr: addr, flags: strings.Split(f[2], ","), master: f[3], linked: f[7] == "connected"}
		for _, s := range f[8:] {
			if strings.HasPrefix(s, "[") {
				continue
			}
			first, last, ranged := strings.Cut(s, "-")
			if !ranged {
				last = first
			}
			a, errA := strconv.Atoi(first)
			b, errB := strconv.Atoi(last)
			if err := errors.Join(errA, errB); err != nil {
				return nil, fmt.Errorf("CLUSTER NODES: cannot read %q: %w", line, err)
			}
			m.slots = append(m.slots, [2]int{a, b})
		}
		v = append(v, m)
	}
	slices.SortFunc(v, func(a, b member) int { return strings.Compare(a.addr, b.addr) })
	return v, nil
}

// find returns the first such member, or a zero one.
func (v clusterView) find(such func(member) bool) member {
	i := slices.IndexFunc(v, such)
	if i < 0 {
		return member{}
	}
	return v[i]
}

func (v clusterView) at(addr string) member {
	return v.find(func(m member) bool { return m.addr == addr })
}

func (v clusterView) byID(id string) member {
	return v.find(func(m member) bool { return m.id == id })
}

// owner returns the address of the node that serves the slot, or "".
func (v clusterView) owner(slot int) string {
	return v.find(func(m member) bool { return m.serves(slot) }).addr
}

// roles says who serves what and who replicates whom: what the nodes of a
// cluster agree on when it is at rest.
func (v clusterView) roles() string {
	var b strings.Builder
	for _, m := range v {
		fmt.Fprintf(&b, "%s %s %v, ", m.addr, m.master, m.slots)
	}
	return b.String()
}

// view asks a node for its view.
func (c *Cluster) view(ctx context.Context, n *Redis) (clusterView, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	text, err := c.admin[n].ClusterNodes(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Addr(), err)
	}
	return parseView(text)
}

// views asks all nodes that live. With an error it returns what the others say.
func (c *Cluster) views(ctx context.Context) (map[*Redis]clusterView, error) {
	views := make(map[*Redis]clusterView, len(c.nodes))
	var silent error
	for _, n := range c.nodes {
		if !n.lives() {
			continue
		}
		v, err := c.view(ctx, n)
		if err != nil {
			silent = errors.Join(silent, err)
			continue
		}
		views[n] = v
	}
	return views, silent
}

// most returns what the majority of the nodes that answer says, which is not
// "".
func (c *Cluster) most(ctx context.Context, say func(clusterView) string) (string, error) {
	views, err := c.views(ctx)
	votes := make(map[string]int)
	for _, v := range views {
		votes[say(v)]++
	}
	for said, n := range votes {
		if said != "" && 2*n > len(views) {
			return said, nil
		}
	}
	return "", errors.Join(fmt.Errorf("no majority: %v", votes), err)
}

// agreedOwner returns who serves the slot in the view of all nodes that live,
// which takes commands.
func (c *Cluster) agreedOwner(ctx context.Context, slot int) (*Redis, error) {
	views, err := c.views(ctx)
	if err != nil {
		return nil, err
	}
	var owner string
	for n, v := range views {
		switch said := v.owner(slot); {
		case said == "":
			return nil, fmt.Errorf("node %s knows no owner of slot %d", n.Addr(), slot)
		case owner != "" && said != owner:
			return nil, fmt.Errorf("slot %d is of %s and of %s", slot, owner, said)
		default:
			owner = said
		}
		if err := c.stateOK(ctx, n); err != nil {
			return nil, err
		}
	}
	n := c.node(owner)
	if n == nil || !n.lives() {
		return nil, fmt.Errorf("the owner of slot %d, %q, does not run", slot, owner)
	}
	return n, nil
}

func (c *Cluster) stateOK(ctx context.Context, n *Redis) error {
	info, err := c.admin[n].ClusterInfo(ctx).Result()
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Addr(), err)
	}
	if !slices.Contains(strings.Fields(info), "cluster_state:ok") {
		return fmt.Errorf("node %s: the cluster's state is not ok", n.Addr())
	}
	return nil
}

// healthy returns nil when all nodes run, know and reach each other, agree on
// their roles, take commands and replicate.
func (c *Cluster) healthy(ctx context.Context) error {
	for _, n := range c.nodes {
		if !n.lives() {
			return fmt.Errorf("node %s does not run", n.Addr())
		}
	}
	views, err := c.views(ctx)
	if err != nil {
		return err
	}
	roles := views[c.nodes[0]].roles()
	for n, v := range views {
		if len(v) != len(c.nodes) {
			return fmt.Errorf("node %s knows %d of %d nodes", n.Addr(), len(v), len(c.nodes))
		}
		for _, m := range v {
			if m.is("handshake", "fail", "fail?", "noaddr") || !m.linked {
				return fmt.Errorf("to node %s, %s is %v", n.Addr(), m.addr, m.flags)
			}
			if m.is("master") && len(m.slots) == 0 {
				return fmt.Errorf("to node %s, %s is a master without slots", n.Addr(), m.addr)
			}
			if m.is("slave") && !v.byID(m.master).is("master") {
				return fmt.Errorf("to node %s, %s is a replica of no master", n.Addr(), m.addr)
			}
		}
		if v.roles() != roles {
			return fmt.Errorf("nodes %s and %s disagree on the roles", c.nodes[0].Addr(), n.Addr())
		}
		if err := c.stateOK(ctx, n); err != nil {
			return err
		}
		if master := c.node(v.byID(v.at(n.Addr()).master).addr); master != nil {
			if err := replicates(ctx, c.admin[n], master); err != nil {
				return err
			}
		}
	}
	return nil
}

// show shows the views of all nodes, for a failure.
func (c *Cluster) show() string {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	var b strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&b, "to node %s:\n", n.Addr())
		if !n.lives() {
			b.WriteString("\tdoes not run\n")
			continue
		}
		text, err := c.admin[n].ClusterNodes(ctx).Result()
		if err != nil {
			text = err.Error()
		}
		for line := range strings.Lines(text) {
			fmt.Fprintf(&b, "\t%s\n", strings.TrimSpace(line))
		}
	}
	return b.String()
}
