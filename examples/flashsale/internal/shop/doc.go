// Package shop sells things out of an SQL database, and does it the way that
// goes wrong: it reads the stock, thinks, and writes back what it read minus
// what it sold. Two buyers who read the same stock both get the last one.
//
// The flaw is deliberate. Much of what services do is shaped like this: the
// decision lies in another system, between the read and the write, where no
// WHERE clause reaches. A lock around [Shop.Buy] repairs it, and the fencing
// token of that lock lets the database itself turn away a buyer whose lock has
// run out without its noticing.
package shop
