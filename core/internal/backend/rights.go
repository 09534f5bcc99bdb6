package backend

import (
	_ "embed"
	"slices"
	"strings"
)

// checkSource tries out what the scripts do. It is no part of their script, which
// runs thousands of times for each time that this one does.
//
//go:embed script/check.lua
var checkSource string

// What a user needs, as an ACL has it. The commands of check.lua are in step
// with those of the scripts, and these with check.lua: a test parses them all.
var (
	callRights    = []string{"+eval", "+evalsha", "+ping", "+info"}
	keyRights     = []string{"+del", "+exists", "+get", "+pexpire", "+pttl", "+set", "+setrange", "+zadd", "+zcard", "+zrange", "+zrank", "+zrem", "+zscore"}
	otherRights   = []string{"+time"}
	pubSubRights  = []string{"+publish", "+pubsub|numsub", "+subscribe"}
	shardedRights = []string{"+pubsub|shardnumsub", "+spublish", "+ssubscribe", "+sunsubscribe"}
	clusterRights = []string{"+cluster|slots"}
	// What go-redis needs to follow a node that points to another: to find the keys
	// of a call, and to say that it was sent to where a slot is on its way.
	redirectRights = []string{"+asking", "+command"}
	ackRight       = "+wait"
)

// Rights is all that the user of the locks under prefix needs, on a server of a
// cluster or on any other: words for ACL SETUSER.
func Rights(prefix string, cluster bool) []string {
	words := slices.Concat(callRights, otherRights, keyRights)
	if cluster {
		words = append(words, shardedRights...)
		words = append(words, clusterRights...)
		words = append(words, redirectRights...)
	} else {
		words = append(words, pubSubRights...)
	}
	return append(words, keyPattern(prefix), channelPattern(prefix))
}

func keyPattern(prefix string) string     { return "~" + escapeGlob(prefix) + ":*" }
func channelPattern(prefix string) string { return "&" + escapeGlob(prefix) + ":*" }

// escapeGlob takes the meaning from the characters that have one in a pattern of
// Redis. ACL SETUSER takes no spaces in one: "?" stands for them.
var escapeGlob = strings.NewReplacer(
	`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, " ", "?", "\t", "?",
).Replace

// pubSubRights are those by which grants are told and heard.
func (s *server) pubSubRights() []string {
	if s.cluster {
		return shardedRights
	}
	return pubSubRights
}
