package main

// mutant is the library with a mistake: edits of its sources, and the scenarios
// each of which must notice. One without edits is a control: they must not.
type mutant struct {
	name   string
	edits  []edit
	trials []trial
}

// trial is a test that must fail, with its flags.
type trial struct {
	scenario string
	// oracles are those that a mistake of this kind is for, as in RELIABILITY.md:
	// one of them must have found it. Another's finding alone would be luck.
	oracles string
	flags   []string
}

// edit replaces a text that must be in a file exactly once. A mutant whose text
// is not there any more fails loudly: it would mutate nothing.
type edit struct{ file, old, new string }

const (
	core    = "core/"
	machine = "core/internal/engine/"
	scripts = "core/internal/backend/script/"
)

// youngProof is the condition of a handoff without Redis that the lease was proven
// a short while ago.
const youngProof = "\t\tnow.Sub(e.valid.From()) > handoffProof && m.world.Down(e.line) == nil:"

func simulated(oracles string) trial { return trial{scenario: "TestS1SimulatedTime", oracles: oracles} }

func killed(oracles string) trial { return trial{scenario: "TestS5KilledProcesses", oracles: oracles} }

func forgotten(oracles string) trial { return trial{scenario: "TestS7RedisIsKilled", oracles: oracles} }

// Seven losses: the three of the quick form wait for too short a time after each.
func forgottenInLine(oracles string) trial {
	return trial{"TestS16RedisForgetsTheLeasesOfBusyLines", oracles, []string{"-share", "0.07"}}
}

// O7 tells of a holder who learns from his release that he has lost a lock of which he
// has proof. Five stops, as in the quick form, are too few to meet a mistake each time.
func stopped(oracles string) trial {
	return trial{"TestS4StoppedProcesses", oracles, []string{"-share", "0.2"}}
}

// mutants are mistakes that lock libraries make, or that the design's model
// checker found in its drafts.
func mutants() []mutant {
	return []mutant{
		{name: "none: the library as it is", trials: []trial{simulated(""), stopped(""), killed(""), forgotten(""), forgottenInLine("")}},
		{
			name: "a release deletes whatever lease is there",
			edits: []edit{{
				scripts + "main.lua",
				"if owner and sub(owner, 1, 1) == '0' and sub(owner, 3, 50) == entry then",
				"if true then",
			}},
			trials: []trial{simulated("O1 O2"), stopped("O1 O2 O7")},
		},
		{
			name: "a release does not look whose the lease is",
			edits: []edit{{
				scripts + "release.lua", "if owner and id(owner) ~= identity then return LOST end", "",
			}},
			trials: []trial{simulated("O1 O2"), stopped("O1 O2 O7")},
		},
		{
			name: "a release compares the process only, not the whole identity",
			edits: []edit{
				{scripts + "main.lua", "sub(owner, 3, 50) == entry then", "sub(owner, 3, 34) == sub(entry, 1, 32) then"},
				{scripts + "release.lua", "id(owner) ~= identity", "sub(id(owner), 1, 32) ~= sub(identity, 1, 32)"},
			},
			trials: []trial{simulated("O1 O2")},
		},
		{
			name: "who was granted the lock does not check whether it is late",
			edits: []edit{{
				machine + "grant.go", "if valid.Remaining(now) <= 0 {", "if false {",
			}},
			trials: []trial{simulated("O1 O2")},
		},
		{
			name: "a grant is valid from the arrival of its message",
			edits: []edit{
				{machine + "grant.go", "since := e.firstSend\n", "since := now\n"},
				{machine + "grant.go", "since = w.ticketSent\n", "since = now\n"},
			},
			trials: []trial{simulated("O1 O2"), stopped("O1 O2 O7")},
		},
		{
			name: "a grant is valid from the last answered poll, whatever its ticket",
			edits: []edit{{
				machine + "grant.go", "w != nil && g.Ticket == w.ticket {", "w != nil && w.ticket != 0 {",
			}},
			trials: []trial{simulated("O1 O2")},
		},
		{
			name: "the fencing token is a counter, without the clock as its floor",
			edits: []edit{{
				scripts + "prelude.lua",
				"  local first, text = now()\n",
				"  local first = (tonumber(try('GET', fence) or '1000000') or 1000000) + 1\n  local text = format('%.0f', first)\n",
			}},
			trials: []trial{simulated("O3"), forgotten("O3")},
		},
		{
			name: "fencing tokens of a lease that was lost are used for the next one",
			edits: []edit{
				{machine + "line.go", "\tserved int\n", "\tserved int\n\tkept   *tokens\n"},
				{
					machine + "lease.go", "\te.tokens.start(b)\n",
					"\tif kept := e.line.kept; kept != nil && kept.left() > 0 {\n\t\te.tokens = *kept\n\t} else {\n\t\te.tokens.start(b)\n\t}\n\te.line.kept = &e.tokens\n",
				},
			},
			trials: []trial{simulated("O1 O3")},
		},
		{
			name: "a release needs the context of the request",
			edits: []edit{{
				core + "release.go", "return l.releaseUnheard(ctx, k)\n", "return unconfirmed(context.Cause(ctx))\n",
			}},
			trials: []trial{simulated("O6")},
		},
		{
			name: "a renewal makes the lease anew if it is gone",
			edits: []edit{{
				scripts + "renew.lua", "  if not owner or",
				"  if not owner then\n    call('SET', lease, entry, 'PX', ttl(entry))\n    owner = entry\n  end\n  if",
			}},
			trials: []trial{simulated("O4")},
		},
		{
			name: "a lease that was lost is passed on inside the process",
			edits: []edit{
				{machine + "release.go", "e.line.entry != e, e.lost, e.ending(),", "e.line.entry != e, e.ending(),"},
				{machine + "release.go", "next.TTL != e.TTL, e.valid.Remaining(now) < e.TTL/3,\n" + youngProof, "next.TTL != e.TTL:"},
				{machine + "lease.go", "if q := e.line; q.entry == e {", "if q := e.line; false {"},
			},
			trials: []trial{simulated("O1 O2")},
		},
		{
			name: "a lease is passed on inside the process, however old its proof is",
			edits: []edit{
				{machine + "release.go", "e.valid.Remaining(now) < e.TTL/3,\n" + youngProof, "e.valid.Remaining(now) < e.TTL/3:"},
				{machine + "tokens.go", "if e.renewing == 0 && now.Sub(e.valid.From()) > proofRenewal {", "if false {"},
			},
			trials: []trial{forgottenInLine("O3")},
		},
		{
			name: "what a caller who left was granted is not given back",
			edits: []edit{{
				machine + "cleanup.go", "m.ask(Op{Kind: OpCancel, Entry: c.Entry, Cleanup: c})", "_ = c",
			}},
			trials: []trial{simulated("O6")},
		},
		{
			name: "what a lost request brings when its caller has left is not looked for again",
			edits: []edit{{
				machine + "cleanup.go", "thorough: e.mayExecute,", "thorough: false,",
			}},
			trials: []trial{simulated("O6")},
		},
		{
			name: "the next in line is taken from the queue, and not told",
			edits: []edit{{
				scripts + "library.lua", "call(PUBLISH, to, table.concat(", "tostring(table.concat(",
			}},
			trials: []trial{simulated("O5")},
		},
		{
			name: "a waiter whose process is gone is not skipped",
			edits: []edit{{
				scripts + "library.lua", "if mine or call('PUBSUB', NUMSUB, to)[2] > 0 then", "if true then",
			}},
			trials: []trial{killed("O5")},
		},
	}
}
