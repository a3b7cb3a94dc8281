package worker

import "time"

// orders are the control messages that wait to be written.
type orders struct {
	keyframe, ping, goodbye bool
	want                    bool // what is wanted has changed
	refresh                 set
	repeat                  time.Duration // 0: not to be done
}

func (c *Client) order(change func(*orders)) {
	c.mu.Lock()
	change(&c.orders)
	c.mu.Unlock()
	c.signal()
}

// takeOrders returns and clears what waits to be written.
func (c *Client) takeOrders() orders {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.orders
	c.orders = orders{}
	return o
}

// control writes the orders; after goodbye nothing follows.
func (l *life) control() (stop bool, err error) {
	questions := l.c.questions.take() // they are sent after the orders that were given before them
	o := l.c.takeOrders()
	conn := l.p.conn
	if o.keyframe {
		err = conn.write(kindKeyframe)
	}
	if (o.want || o.refresh != 0) && err == nil {
		err = conn.write(kindWant, []byte{byte(l.c.renditions.wanted.Load()), byte(o.refresh)})
	}
	for _, q := range questions {
		if err == nil {
			err = conn.write(kindSnapshot, q.encode())
		}
	}
	if o.repeat != 0 && err == nil {
		err = conn.write(kindRepeat, appendInt(nil, o.repeat))
	}
	if o.ping && err == nil {
		err = conn.write(kindPing)
	}
	if o.goodbye && err == nil {
		err = conn.write(kindGoodbye)
	}
	return o.goodbye, err
}
