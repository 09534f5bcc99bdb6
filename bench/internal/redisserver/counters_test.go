package redisserver

import "testing"

func TestCommandsOfMeasuringAreLeftOut(t *testing.T) {
	n, err := sumCalls(map[string]string{
		"cmdstat_set":            "calls=7,usec=9,usec_per_call=1.29,rejected_calls=0,failed_calls=0",
		"cmdstat_client|setinfo": "calls=2,usec=1,usec_per_call=0.5,rejected_calls=0,failed_calls=0",
		"cmdstat_info":           "calls=100,usec=1",
		"cmdstat_config|get":     "calls=100,usec=1",
	})
	if err != nil || n != 9 {
		t.Errorf("sumCalls = %d, %v; want 9", n, err)
	}
	if _, err := sumCalls(map[string]string{"cmdstat_set": "usec=1"}); err == nil {
		t.Error("a line without calls has no error")
	}
}
