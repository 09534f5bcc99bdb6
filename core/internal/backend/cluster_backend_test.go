package backend_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// To start a cluster takes seconds.
func TestBackendOnACluster(t *testing.T) {
	c := locktest.StartCluster(t, 3, 1)
	t.Run("redirects", func(t *testing.T) { redirects(t, c) })
	t.Run("trips", func(t *testing.T) { flights(t, c) })
	t.Run("listening", func(t *testing.T) { listening(t, c) })
}
