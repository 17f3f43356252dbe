-- The shop: what its analyst writes. Two segments, three templates, three journeys.

-- A segment is a view. The engine asks it about one person at the moment of sending,
-- so that it is exact then.

CREATE VIEW marketing.interested AS
SELECT user_id FROM trigger_engine.all_events
WHERE name = 'click' AND occurred_at > trigger_engine.clock() - interval '7 days'
GROUP BY user_id HAVING count(*) >= 3;

CREATE VIEW marketing.comparing AS
SELECT user_id FROM trigger_engine.all_events
WHERE name = 'click' AND occurred_at > trigger_engine.clock() - interval '1 day'
GROUP BY user_id HAVING count(*) > count(DISTINCT properties ->> 'aid');

SELECT trigger_engine.create_segment('interested', 'marketing.interested', description => 'at least 3 clicks within 7 days');
SELECT trigger_engine.create_segment('comparing', 'marketing.comparing', description => 'came back to an article within a day');

SELECT trigger_engine.create_template('order_thanks', 'webhook', '{
	"type": "order.thanks",
	"title": "Thank you, {{ user.first_name | default: \"dear customer\" }}!",
	"text": "We have your order of article {{ event.aid }} and pack it now.",
	"url": "https://shop.example/orders?article={{ event.aid }}"
}');
SELECT trigger_engine.create_template('cart_reminder', 'webhook', '{
	"type": "cart.abandoned",
	"title": "Still in your cart",
	"text": "Hello {{ user.first_name | default: \"there\" }}, article {{ event.aid }} waits for you.",
	"url": "https://shop.example/cart?add={{ event.aid }}",
	"carted_at": "{{ event.occurred_at }}"
}');
SELECT trigger_engine.create_template('look_again', 'in_app', '{
	"title": "Cannot decide?",
	"body": "Article {{ event.aid }} is worth a second look.",
	"url": "https://shop.example/articles/{{ event.aid }}",
	"data": {"article": "{{ event.aid }}"}
}');

-- An order is confirmed at once: once a checkout, however many articles it has.
SELECT trigger_engine.create_journey('order_thanks',
	trigger => '{"kind": "event", "name": "order"}',
	steps => '[{"id": "thank", "send": "order_thanks", "provider": "crm"}]',
	reentry => '{"policy": "after", "after": "10 minutes"}',
	transactional => true);

-- A cart that no order follows within the hour; at most one reminder in 6 hours.
SELECT trigger_engine.create_journey('abandoned_cart',
	trigger => '{"kind": "event", "name": "cart"}',
	steps => '[{"id": "hour", "wait": "1 hour"},
			   {"id": "remind", "send": "cart_reminder", "provider": "crm"}]',
	exit_on => '[{"name": "order"}]',
	reentry => '{"policy": "after", "after": "6 hours"}',
	segment => 'interested',
	topic => 'reminders',
	ttl => '4 hours');

-- Browsing that leads to no cart within half an hour; at most once a day.
SELECT trigger_engine.create_journey('browsing',
	trigger => '{"kind": "event", "name": "click"}',
	steps => '[{"id": "half_hour", "wait": "30 minutes"},
			   {"id": "nudge", "send": "look_again"}]',
	exit_on => '[{"name": "cart"}, {"name": "order"}]',
	reentry => '{"policy": "after", "after": "1 day"}',
	segment => 'comparing',
	topic => 'reminders',
	ttl => '4 hours');
