package lockotel

import (
	"errors"
	"log/slog"
	"runtime"
	"runtime/pprof"

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

// Observer makes spans and metrics of what happens to locks, and what else it
// was asked for: see the package documentation. It is safe for concurrent use
// and can serve any number of Lockers.
//
// It knows the contexts that Acquiring and Holding return by their identity: an
// observer that is made around this one hands them on as they are. For two observers
// side by side, use [core.Observe] twice.
type Observer struct {
	core.NopObserver // methods that are added to core.Observer

	tracer       trace.Tracer // nil: no spans
	metrics      instruments
	counts       *counts        // nil: nobody reads them
	logger       *slog.Logger   // nil: no records
	profile      *pprof.Profile // nil: no profile
	runtimeTrace bool
	links        bool
	key          bool
	fencingToken bool
	holdAsParent bool

	sites  prepared[siteKey, *site]
	atHand atHand
}

var _ core.Observer = (*Observer)(nil)

// NewObserver returns an observer that uses the global providers unless the
// options say otherwise. Its error lists everything that is wrong: it matches
// [core.ErrOption] for an option, and the MeterProvider's own error if that
// refused an instrument.
func NewObserver(opts ...Option) (*Observer, error) {
	c, err := newConfig(opts)
	counts := newCounts()
	metrics, reading, refused := newInstruments(c.meters, c.withoutMetrics, counts)
	if err := errors.Join(err, refused); err != nil {
		return nil, err
	}
	o := &Observer{
		metrics:      metrics,
		logger:       c.logger,
		runtimeTrace: !c.withoutRuntimeTrace,
		links:        !c.withoutLinks,
		key:          c.withKey,
		fencingToken: c.withFencingToken,
		holdAsParent: c.holdAsParent,
	}
	o.sites.limit = maxSites
	if !c.withoutTraces {
		o.tracer = c.tracers.Tracer(ScopeName, trace.WithInstrumentationVersion(Version))
	}
	if c.withProfile {
		o.profile = heldProfile()
	}
	if reading != nil {
		o.counts = counts
		// The provider has the counts, not the observer, and no longer than it lives.
		runtime.AddCleanup(o, func(r metric.Registration) { _ = r.Unregister() }, reading)
	}
	return o, nil
}
