// Package sdktest holds the tests of Latchkey's telemetry that need the
// OpenTelemetry SDK: what spans and metrics look like once they are recorded.
// They live here because the root module must not depend on the SDK. The
// package has no code of its own.
package sdktest
