package lockotel

import (
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// The names of the metrics: see the package documentation for what they mean.
const (
	MetricAcquireDuration = "dlock.acquire.duration"
	MetricHoldDuration    = "dlock.hold.duration"
	MetricWaiterCount     = "dlock.waiter.count"
	MetricHeldCount       = "dlock.held.count"
	MetricHandoffs        = "dlock.handoffs"
	MetricRenewals        = "dlock.renewals"
)

var metricNames = []string{
	MetricAcquireDuration, MetricHoldDuration, MetricWaiterCount, MetricHeldCount, MetricHandoffs, MetricRenewals,
}

// instruments are all metrics. One that is turned off is a no-op: it is never
// Enabled.
type instruments struct {
	acquireDuration, holdDuration metric.Float64Histogram
	handoffs, renewals            metric.Int64Counter
}

// newInstruments makes those that are not named in without, and has c read by the
// provider until the Registration, which may be nil, is ended. Its error lists all
// that the provider refused.
func newInstruments(p metric.MeterProvider, without []string, c *counts) (instruments, metric.Registration, error) {
	m := maker{
		meter: p.Meter(ScopeName, metric.WithInstrumentationVersion(Version)),
		off:   metricnoop.NewMeterProvider().Meter(ScopeName), without: without,
	}
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	i := instruments{
		acquireDuration: m.histogram(MetricAcquireDuration, "Time from asking for a lock to the outcome.", buckets),
		// A holder works for longer than it is willing to wait.
		holdDuration: m.histogram(MetricHoldDuration, "Time from the grant of a lock until it was released or lost.",
			append(buckets, 120, 300)),
		handoffs: m.counter(MetricHandoffs, "{handoff}", "Locks that were passed on by their holder to the next in line."),
		renewals: m.counter(MetricRenewals, "{renewal}", "Renewals of leases that were answered or failed."),
	}
	reading := c.report(&m)
	return i, reading, errors.Join(m.errs...)
}

type maker struct {
	meter, off metric.Meter
	without    []string
	errs       []error
}

func (m *maker) meterFor(name string) metric.Meter {
	if slices.Contains(m.without, name) {
		return m.off
	}
	return m.meter
}

func (m *maker) note(name string, err error) {
	if err != nil {
		m.errs = append(m.errs, fmt.Errorf("lockotel: %s: %w", name, err))
	}
}

func (m *maker) histogram(name, description string, buckets []float64) metric.Float64Histogram {
	h, err := m.meterFor(name).Float64Histogram(name,
		metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(buckets...))
	m.note(name, err)
	return h
}

// observable returns nil if the metric is turned off.
func (m *maker) observable(name, unit, description string) metric.Int64ObservableUpDownCounter {
	if slices.Contains(m.without, name) {
		return nil
	}
	c, err := m.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.note(name, err)
	return c
}

func (m *maker) counter(name, unit, description string) metric.Int64Counter {
	c, err := m.meterFor(name).Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.note(name, err)
	return c
}
