package sim

import "time"

func later() { time.Sleep(time.Hour) }
