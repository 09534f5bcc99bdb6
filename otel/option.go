package lockotel

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
)

// Option configures an [Observer].
type Option interface{ apply(*config) error }

type optionFunc func(*config) error

func (f optionFunc) apply(c *config) error { return f(c) }

type config struct {
	tracers             trace.TracerProvider
	meters              metric.MeterProvider
	logger              *slog.Logger
	withoutTraces       bool
	withoutMetrics      []string
	withoutLinks        bool
	withoutRuntimeTrace bool
	withKey             bool
	withFencingToken    bool
	withProfile         bool
	holdAsParent        bool
}

// newConfig returns opts' configuration, or an error that matches
// [core.ErrOption] and lists everything that is wrong with them.
func newConfig(opts []Option) (config, error) {
	var c config
	var errs []error
	for _, o := range opts {
		if o == nil {
			continue
		}
		if err := o.apply(&c); err != nil {
			errs = append(errs, err)
		}
	}
	if c.tracers == nil {
		c.tracers = otel.GetTracerProvider()
	}
	if c.meters == nil {
		c.meters = otel.GetMeterProvider()
	}
	return c, errors.Join(errs...)
}

// WithTracerProvider sets where spans go. The default is the global provider
// at the time of [NewObserver], which passes spans on to an SDK that is
// installed later. nil is an error.
func WithTracerProvider(p trace.TracerProvider) Option {
	return optionFunc(func(c *config) error {
		if p == nil {
			return fmt.Errorf("%w: the TracerProvider is nil", core.ErrOption)
		}
		c.tracers = p
		return nil
	})
}

// WithMeterProvider sets where metrics go. The default is the global provider
// at the time of [NewObserver], which passes measurements on to an SDK that is
// installed later. nil is an error.
func WithMeterProvider(p metric.MeterProvider) Option {
	return optionFunc(func(c *config) error {
		if p == nil {
			return fmt.Errorf("%w: the MeterProvider is nil", core.ErrOption)
		}
		c.meters = p
		return nil
	})
}

// WithoutTraces makes no spans, stores no trace IDs with leases and, having no
// spans to carry them, makes no links. It wins over [WithTracerProvider].
func WithoutTraces() Option {
	return optionFunc(func(c *config) error { c.withoutTraces = true; return nil })
}

// WithoutMetrics makes none of the metrics with these names (see
// [MetricAcquireDuration] and those beside it), or none at all if no name is
// given. A name that is not ours is an error.
func WithoutMetrics(names ...string) Option {
	return optionFunc(func(c *config) error {
		if len(names) == 0 {
			names = metricNames
		}
		var errs []error
		for _, name := range names {
			if !slices.Contains(metricNames, name) {
				errs = append(errs, fmt.Errorf("%w: there is no metric %q", core.ErrOption, name))
			}
		}
		c.withoutMetrics = append(c.withoutMetrics, names...)
		return errors.Join(errs...)
	})
}

// WithoutLinks keeps traces apart: no trace ID is stored with a lease for
// others to link to, and what others stored makes neither links nor
// dlock.blocked_by.trace_id. For when processes of different owners, or with
// different tracing backends, share locks. dlock.blocked_by.count stays: it
// names nobody.
func WithoutLinks() Option {
	return optionFunc(func(c *config) error { c.withoutLinks = true; return nil })
}

// WithKey adds the lock's key to spans, as dlock.key. Keys are data from
// requests: only turn it on if who can read traces may see them. Keys never
// become span names or metric attributes. Bytes that are not UTF-8 become
// U+FFFD, since exporters can send nothing else.
func WithKey() Option {
	return optionFunc(func(c *config) error { c.withKey = true; return nil })
}

// WithFencingToken adds the fencing token to spans, as dlock.fencing_token. It
// ties a span to the rows that were written under the lock; who can guess at
// tokens and write to the store could also use it to get in front.
func WithFencingToken() Option {
	return optionFunc(func(c *config) error { c.withFencingToken = true; return nil })
}

// WithLogger has l told, once each, of a lock that its holder lost, and of Redis
// that counts as down or has answered again: see "Log records" in the package
// documentation. nil is an error.
func WithLogger(l *slog.Logger) Option {
	return optionFunc(func(c *config) error {
		if l == nil {
			return fmt.Errorf("%w: the Logger is nil", core.ErrOption)
		}
		c.logger = l
		return nil
	})
}

// WithHeldProfile keeps the profile [ProfileName] of package runtime/pprof: the
// stacks, at their Acquire, of all locks that are held. net/http/pprof serves it
// at /debug/pprof/dlock.held. Each lock then costs about a microsecond more.
func WithHeldProfile() Option {
	return optionFunc(func(c *config) error { c.withProfile = true; return nil })
}

// WithoutRuntimeTrace makes no regions and tasks in execution traces of package
// runtime/trace. They cost nothing while no such trace is taken.
func WithoutRuntimeTrace() Option {
	return optionFunc(func(c *config) error { c.withoutRuntimeTrace = true; return nil })
}

// WithHoldAsParent nests the spans that the holder makes under the hold span.
// By default they stay children of the request's own span, as if there were no
// lock: adding a lock then changes nothing about existing traces, and no
// analysis of them is off by a level.
func WithHoldAsParent() Option {
	return optionFunc(func(c *config) error { c.holdAsParent = true; return nil })
}
