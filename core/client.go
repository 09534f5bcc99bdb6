package core

// SharedClient has the Locker use the client that [New] is given, and not one of
// its own.
//
// By default New makes a client from that one's options (address, credentials, TLS,
// timeouts, database, names and so on), which is closed with the Locker:
//
//   - it has at most 8 connections to a server, or as many as the given one may have
//     if that is less, beside one for subscriptions; the application's own commands,
//     such as BLPOP, cannot use them up;
//   - it has redis.Options.ContextTimeoutEnabled, without which a single request takes
//     longer;
//   - connections that have died silently are found out and replaced: when an
//     operation has had no answer for 250 ms, a new connection is asked, and if that
//     is answered all older ones that are silent are closed;
//   - hooks, the Limiter, client-side caching and maintenance notifications of the
//     given client are not used. OnConnect, Dialer and credentials providers are, and
//     must bear concurrent calls. A panic in one of them is an error.
//
// Use SharedClient where a hook has to see the locks' commands, or where the
// connection is made by a hook (a DialHook cannot be copied). The Locker then makes
// its calls by [redis.Client.Process] and Pipeline, with all hooks, and subscribes
// by Subscribe; methods that a wrapper overrides, such as EvalSha, are not called.
// If a call gets no answer for 250 ms while it waits for a connection or its answer,
// and a new connection is answered, operations go over a client of the Locker's own
// until the shared one answers again.
//
// A client that redis.NewFailoverClient has made, and a wrapper of a client, are used
// in this way in any case. Of a wrapper that has no Options of a [redis.Client] nothing
// is known: its dead connections are found out by its own timeouts.
func SharedClient() Option { return lockerOption(func(l *lockerOptions) { l.shared = true }) }
