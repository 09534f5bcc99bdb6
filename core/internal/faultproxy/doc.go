// Package faultproxy puts a faulty network between a Redis client and its
// server, for tests: replies that get lost after their request was carried out,
// delays, connections that are reset, or that stay open and move nothing.
//
// It is a TCP proxy on 127.0.0.1 that knows where a request or a reply ends,
// and nothing else of the protocol. A new proxy has no faults. Faults are
// switched on and off while connections are open:
//
//	proxy := faultproxy.New(t, server.Addr())
//	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
//	dropped := proxy.DropReplies(1, faultproxy.Contains("evalsha"))
package faultproxy
