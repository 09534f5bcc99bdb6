// Package locktest is for tests of code that takes locks.
//
// [Fake] is a [core.Locker] in memory. Give it to what you test in place of the
// real one, and make happen what is hard to make happen with Redis:
//
//	locks := locktest.New()
//	release := locks.Hold("order:7")       // somebody else is at work on it
//	locks.Lose("order:7")                  // the holder's lease is gone
//	locks.FailBackend(errors.New("down"))  // Redis cannot be reached
//
// The key is the one that the handler's template or function says: order:7 for
// order:{path.id} or keys.Join("order", id).
//
// Waits, timeouts and MaxHold follow the clock. Inside a testing/synctest bubble
// that is the bubble's clock, so that a test of a 30-second wait takes no time;
// outside of one, [Fake.AwaitWaiting] tells when a request is in line.
//
// What only a Redis can show needs one: [StartRedis] runs a redis-server for
// one test, which can be stopped, killed and restarted; [StartMini] an imitation
// that works inside a bubble. [StartCluster] runs a Redis Cluster, whose slots
// move and whose masters fail over when a test says so; [StartSentinel] a master
// and replicas that Redis Sentinel watches.
package locktest
