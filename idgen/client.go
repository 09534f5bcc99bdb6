package idgen

import (
	"fmt"
	"reflect"

	"github.com/redis/go-redis/v9"
)

// checkClient returns an error for a client that there is none of, and for one
// on which no ID is unique.
func checkClient(rdb any) error {
	if v := reflect.ValueOf(rdb); rdb == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("%w: the Redis client is nil", ErrOption)
	}
	if _, ring := rdb.(*redis.Ring); ring {
		return fmt.Errorf("%w: the Redis client is a %T: when a server fails it moves keys to another one, where they begin anew, and IDs would come twice; use a *redis.Client (single server or Sentinel) or a *redis.ClusterClient", ErrOption, rdb)
	}
	return nil
}
