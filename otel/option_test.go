package lockotel

import (
	"errors"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/latchkey-go/latchkey/core"
)

func TestNewObserverListsEverythingThatIsWrong(t *testing.T) {
	o, err := NewObserver(WithTracerProvider(nil), nil, WithMeterProvider(nil))
	if o != nil || !errors.Is(err, core.ErrOption) {
		t.Fatalf("NewObserver = %v, %v, want no observer and core.ErrOption", o, err)
	}
	for _, want := range []string{"TracerProvider is nil", "MeterProvider is nil"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
}

func TestNilOptionsAreSkipped(t *testing.T) {
	if o, err := NewObserver(nil, nil); o == nil || err != nil {
		t.Fatalf("NewObserver(nil, nil) = %v, %v", o, err)
	}
}

var errRefused = errors.New("refused")

// refusing is a MeterProvider that refuses every instrument.
type refusing struct{ metricnoop.MeterProvider }

func (refusing) Meter(string, ...metric.MeterOption) metric.Meter { return refusingMeter{} }

type refusingMeter struct{ metricnoop.Meter }

func (refusingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, errRefused
}

func TestNewObserverReportsEveryRefusedInstrument(t *testing.T) {
	o, err := NewObserver(WithMeterProvider(refusing{}))
	if o != nil || !errors.Is(err, errRefused) || errors.Is(err, core.ErrOption) {
		t.Fatalf("NewObserver = %v, %v, want no observer and the meter's error", o, err)
	}
	for _, want := range []string{"dlock.acquire.duration", "dlock.hold.duration"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not name %s", err, want)
		}
	}
	if _, err := NewObserver(WithMeterProvider(refusing{}), WithoutMetrics()); err != nil {
		t.Errorf("WithoutMetrics asked the meter all the same: %v", err)
	}
}
