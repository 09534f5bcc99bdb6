// Package scriptmodel is what the lock's script does in Redis, in Go: one key, its
// queue, and the fencing tokens of its bucket, without names, texts or a server. It
// says in few words what the files in ../backend/script say to Redis, and is what a
// model checker explores in their place. A test in ../backend does operations at random on
// it, on miniredis and on a real server, and wants equal replies and messages.
//
// It knows a server that takes every write: not one that is out of memory, has become
// a replica, or has values in it that are none of the lock's.
package scriptmodel
