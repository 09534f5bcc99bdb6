package idgen

import "time"

// SnowflakeOption configures a [Snowflake].
type SnowflakeOption interface{ applySnowflake(*snowflakeOptions) }

type snowflakeOptions struct {
	prefix string
	epoch  time.Time
	now    func() time.Time
}
