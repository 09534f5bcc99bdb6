package lockotel

import (
	"errors"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
)

const (
	// ScopeName is the instrumentation scope of all spans and metrics.
	ScopeName = "github.com/latchkey-go/latchkey/otel"
	// Version is the instrumentation scope's version.
	Version = "0.1.0"
)

// Observer makes spans and metrics of what happens to locks: see the package
// documentation for which. It is safe for concurrent use and can serve any
// number of Lockers.
type Observer struct {
	core.NopObserver // methods that are added to core.Observer

	tracer          trace.Tracer // nil: no spans
	acquireDuration metric.Float64Histogram
	holdDuration    metric.Float64Histogram
	links           bool
	key             bool
	holdAsParent    bool

	sites prepared[siteKey, *site]

	// How many acquire and hold spans have not ended. With none, no context
	// can hold one of ours, and looking for what is not there is a walk to the
	// root of the context, 5 to 30 ns each: where nothing or little is sampled
	// that would be most of the cost.
	acquires, holds atomic.Int64
}

var _ core.Observer = (*Observer)(nil)

// NewObserver returns an observer that uses the global providers unless the
// options say otherwise. Its error lists everything that is wrong: it matches
// [core.ErrOption] for an option, and the MeterProvider's own error if that
// refused an instrument.
func NewObserver(opts ...Option) (*Observer, error) {
	c, err := newConfig(opts)
	errs := []error{err}

	o := &Observer{links: !c.withoutLinks, key: c.withKey, holdAsParent: c.holdAsParent}
	o.sites.limit = maxSites
	if !c.withoutTraces {
		o.tracer = c.tracers.Tracer(ScopeName, trace.WithInstrumentationVersion(Version))
	}
	meter := c.meters.Meter(ScopeName, metric.WithInstrumentationVersion(Version))
	histogram := func(name, description string, boundaries []float64) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name,
			metric.WithUnit("s"),
			metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(boundaries...))
		if err != nil {
			errs = append(errs, fmt.Errorf("lockotel: %s: %w", name, err))
		}
		return h
	}
	acquireBoundaries := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	o.acquireDuration = histogram("dlock.acquire.duration",
		"Time from asking for a lock to the outcome.", acquireBoundaries)
	// A holder works for longer than it is willing to wait.
	o.holdDuration = histogram("dlock.hold.duration",
		"Time from the grant of a lock until it was released or lost.", append(acquireBoundaries, 120, 300))

	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return o, nil
}
