package lockotel

import (
	"context"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// maxNamespaces is far above the Lockers of one process.
const maxNamespaces = 100

// counts are the requests of this process that wait and the locks that it holds,
// now. They are kept here and read when metrics are collected. An instrument that is
// told of each step would be out of step for ever after the first it misses: an SDK
// that is installed while a lock is held hears of its release alone.
type counts struct {
	byNamespace prepared[string, *count]
	// others is for all namespaces over the limit.
	others count
}

// count is one series of each of the two metrics.
type count struct {
	waiting, held atomic.Int64
	attributes    []metric.ObserveOption
	_             [24]byte // a cache line of its own: it is written with every lock
}

func newCounts() *counts {
	c := &counts{others: count{attributes: observe(attribute.Bool("otel.metric.overflow", true))}}
	c.byNamespace.limit = maxNamespaces
	return c
}

// observe prepares the options of one series of an observable instrument.
func observe(kvs ...attribute.KeyValue) []metric.ObserveOption {
	return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(kvs...))}
}

// of returns namespace's, always the same one; nil if nobody counts.
func (c *counts) of(namespace string) *count {
	if c == nil {
		return nil
	}
	// Two texts that become one are one series.
	namespace = strings.ToValidUTF8(namespace, "\uFFFD")
	if n, ok := c.byNamespace.load(namespace); ok {
		return n
	}
	n := c.byNamespace.store(namespace, &count{attributes: observe(namespaceKey.String(namespace))})
	if _, kept := c.byNamespace.load(namespace); !kept {
		return &c.others
	}
	return n
}

// each calls f with all series that have ever counted anything.
func (c *counts) each(f func(*count)) {
	if m := c.byNamespace.entries.Load(); m != nil {
		for _, n := range *m {
			f(n)
		}
		if len(*m) == maxNamespaces {
			f(&c.others)
		}
	}
}

// report has m's meter read c from now on, and returns what ends that: nil if
// nobody will ever read it, because both metrics are turned off, the provider is a
// no-op (the global one is not, though no SDK is installed yet), or it has refused
// something.
func (c *counts) report(m *maker) metric.Registration {
	waiters := m.observable(MetricWaiterCount, "{waiter}", "Requests that wait in line for a lock.")
	held := m.observable(MetricHeldCount, "{lock}", "Locks that are held.")
	var on []metric.Observable
	if waiters != nil {
		on = append(on, waiters)
	}
	if held != nil {
		on = append(on, held)
	}
	if len(on) == 0 || len(m.errs) > 0 {
		return nil
	}
	r, err := m.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		c.each(func(n *count) {
			if waiters != nil {
				to.ObserveInt64(waiters, n.waiting.Load(), n.attributes...)
			}
			if held != nil {
				to.ObserveInt64(held, n.held.Load(), n.attributes...)
			}
		})
		return nil
	}, on...)
	m.note(MetricHeldCount, err)
	if _, noop := r.(metricnoop.Registration); noop {
		return nil
	}
	return r
}
