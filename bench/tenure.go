package main

import "github.com/latchkey-go/latchkey/core"

// tenureZero is strict order over processes.
var tenureZero = core.Tenure(0)
