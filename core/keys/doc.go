// Package keys makes lock keys out of named parts.
//
// A lock key that is pasted together by hand ("order:"+tenant+":"+id) lets two
// requests that have nothing to do with each other meet on one lock, or lets a
// client aim at somebody else's: tenant "a" with id "b:c" and tenant "a:b" with
// id "c" are the same text. The keys of this package are injective: different
// lists of parts never give the same key, whatever the parts hold.
//
// [Join] is for Go code that has the parts at hand. A [Template], such as
//
//	order:{header.X-Tenant}:{path.id}
//
// is for configuration: a transport parses it at start-up, asks what it refers
// to ([Template.Refs]), and fills it in for each request ([Template.Key]). The key
// is what the template says and nothing else, so that all who change order 42 of
// acme, by whatever route, method or job, take the lock order:acme:42, and whoever
// inspects or breaks it names it so.
//
// Values are compared byte by byte: 42 and 042 are two keys. Where a handler takes
// them for the same, the placeholder needs a [Form]: {path.id|int}.
//
// # What a key looks like
//
// Keys are text for people as well: parts stand between colons, and ordinary
// characters stand for themselves.
//
//	Join("order", "acme", "42")              order:acme:42
//	Join("order", "a:b", "100%")             order:a%3Ab:100%25
//	Scoped("PUT /o/{id}", "order:42")        PUT /o/{id}%:order:42
//
// The percent sign begins everything that is not plain text:
//
//	%XX  a byte of a part that could be mistaken for structure, in hexadecimal:
//	     the colon, the percent sign, control characters (C0 and DEL), bytes that
//	     are not valid UTF-8; in a template also the character that ends the part
//	%%   a percent sign in the literal text of a template
//	%:   the end of a scope
//	%#   the beginning of a hash, in a key that would be longer than [MaxLen]
//	%-   a key that would be the empty text, though it has a part
//
// So a key is always valid UTF-8 without control characters, fit for a log line
// or a span attribute. The rules are fixed: nothing in them depends on Unicode
// tables, which change with the Go version, because replicas that were built
// with different versions must agree on a key.
//
// # Long keys
//
// A key has at most [MaxLen] bytes. If it would be longer, as much of its head
// is kept as fits, and the rest gives way to "%#" and the SHA-256 of the whole
// in base64url. "%#" is in no other key, so a short key is never equal to a
// hashed one, and two hashed ones are equal only if SHA-256 collides.
package keys
