package remote

import (
	_ "embed"
	"slices"
	"strings"
)

// checkSource tries out what the scripts do. It is no part of their script: it
// is run once in a process's life, and by the commands' own permission, so that
// it can be run where the scripts could not.
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
	shardedRights = []string{"+pubsub|shardnumsub", "+spublish", "+ssubscribe"}
	clusterRights = []string{"+cluster|slots"}
)

// Rights is all that the user of the locks under prefix needs, on a server of a
// cluster or on any other: words for ACL SETUSER.
func Rights(prefix string, cluster bool) []string {
	words := slices.Concat(callRights, otherRights, keyRights)
	if cluster {
		words = append(words, shardedRights...)
		words = append(words, clusterRights...)
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

// subscribeRight is the command by which a channel is heard.
func subscribeRight(cluster bool) string {
	if cluster {
		return "+ssubscribe"
	}
	return "+subscribe"
}

// publishRight is the command by which others are told.
func publishRight(cluster bool) string {
	if cluster {
		return "+spublish"
	}
	return "+publish"
}

func (s *server) pubSubRights() []string {
	if s.sharded {
		return shardedRights
	}
	return pubSubRights
}
