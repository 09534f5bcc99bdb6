package lockotel

import (
	"slices"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
)

const (
	// maxSites is far above the routes of one service, and half of the
	// SDK's own limit of 2000 series per instrument.
	maxSites = 1000
	// maxFailures is above 5 outcomes × 2 × the error types of core.
	maxFailures = 64
)

// siteKey is where a lock is taken.
type siteKey struct {
	namespace, name string
	shadow          bool
}

// site is all that the spans and metrics of one place have in common,
// prepared: span names, and options with attribute sets in them.
type site struct {
	key         siteKey
	acquireSpan string
	holdSpan    string
	start       []trace.SpanStartOption

	acquired [2][]metric.RecordOption // not contended, contended
	released []metric.RecordOption
	lost     []metric.RecordOption
	failed   prepared[failure, []metric.RecordOption]

	here     *count
	handoffs [2][]metric.AddOption
	renewals [len(renewals)][]metric.AddOption

	common []attribute.KeyValue
}

// failure tells apart the series of acquisitions that failed.
type failure struct {
	outcome   outcome
	contended bool
	errorType string
}

func (o *Observer) site(a core.Attempt) *site {
	k := siteKey{a.Namespace, a.Name, a.Shadow}
	slot := &o.atHand[slotOf(a.Name)]
	if s := slot.Load(); s != nil && s.key == k {
		return s
	}
	s, ok := o.sites.load(k)
	if !ok {
		s = o.sites.store(k, newSite(k, o.counts.of(k.namespace)))
	}
	slot.CompareAndSwap(nil, s)
	return s
}

// atHand has sites that are found without hashing their names, which would be a
// tenth of all that metrics cost. Names and namespaces are mostly the very same
// strings each time, so that to compare them is to compare two pointers. Whoever
// finds another's site in its slot takes the longer way.
type atHand [64]atomic.Pointer[site]

func slotOf(name string) int {
	if name == "" {
		return 0
	}
	return (len(name) + 7*int(name[len(name)/2]) + 31*int(name[len(name)-1])) % len(atHand{})
}

func newSite(k siteKey, here *count) *site {
	key := k
	// One attribute that is not UTF-8 and a whole batch cannot be marshaled.
	k.namespace = strings.ToValidUTF8(k.namespace, "\uFFFD")
	k.name = strings.ToValidUTF8(k.name, "\uFFFD")

	namespace := namespaceKey.String(k.namespace)
	common := []attribute.KeyValue{namespace, nameKey.String(k.name)}
	if k.shadow {
		// Its outcomes are not those of requests: see core.Shadow.
		common = append(common, shadowKey.Bool(true))
	}
	common = slices.Clip(common)
	s := &site{
		key:         key,
		acquireSpan: spanName("acquire", k.name),
		holdSpan:    spanName("hold", k.name),
		start: []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindInternal),
			trace.WithAttributes(append(common, systemNameKey.String(systemName))...),
		},
		common: common,
		here:   here,
	}
	s.failed.limit = maxFailures
	for i, contended := range []bool{false, true} {
		s.acquired[i] = s.record(outcomeAcquired, contendedKey.Bool(contended))
	}
	s.released = s.record(outcomeReleased)
	s.lost = s.record(outcomeLost)
	for i, h := range []core.Handoff{core.HandoffLocal, core.HandoffRemote} {
		s.handoffs[i] = add(namespace, handoffKey.String(h.String()))
	}
	for i, out := range renewals {
		s.renewals[i] = add(namespace, outcomeKey.String(string(out)))
	}
	return s
}

// add prepares the options of one series of a counter.
func add(kvs ...attribute.KeyValue) []metric.AddOption {
	return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(kvs...))}
}

// spanName is for Lockers without a namespace, too.
func spanName(what, name string) string {
	if name == "" {
		return what
	}
	return what + " " + name
}

// record prepares the options of one series. They are a slice, ready to be
// passed on as it is.
func (s *site) record(out outcome, more ...attribute.KeyValue) []metric.RecordOption {
	kvs := make([]attribute.KeyValue, 0, len(s.common)+1+len(more))
	kvs = append(kvs, s.common...)
	kvs = append(kvs, outcomeKey.String(string(out)))
	kvs = append(kvs, more...)
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(kvs...))}
}

func (s *site) recordAcquire(out outcome, contended bool, errorType string) []metric.RecordOption {
	if out == outcomeAcquired {
		if contended {
			return s.acquired[1]
		}
		return s.acquired[0]
	}
	k := failure{out, contended, errorType}
	if opts, ok := s.failed.load(k); ok {
		return opts
	}
	more := []attribute.KeyValue{contendedKey.Bool(contended)}
	if errorType != "" {
		more = append(more, errorTypeKey.String(errorType))
	}
	return s.failed.store(k, s.record(out, more...))
}

func (s *site) recordHold(out outcome) []metric.RecordOption {
	if out == outcomeReleased {
		return s.released
	}
	return s.lost
}

// addHandoff is for a lock that was passed on.
func (s *site) addHandoff(h core.Handoff) []metric.AddOption {
	if h == core.HandoffLocal {
		return s.handoffs[0]
	}
	return s.handoffs[1]
}

func (s *site) addRenewal(out outcome) []metric.AddOption {
	return s.renewals[slices.Index(renewals[:], out)]
}
