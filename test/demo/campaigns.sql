-- The grocer: tables that the application has anyway, and one journey on top.

SET ROLE shop;
CREATE TABLE shop.mailings (
	day		  date NOT NULL,
	household text NOT NULL,
	campaign  integer NOT NULL,
	PRIMARY KEY (household, campaign)
);
CREATE TABLE shop.redemptions (
	day		  date NOT NULL,
	household text NOT NULL,
	campaign  integer NOT NULL,
	coupons	  integer NOT NULL,
	PRIMARY KEY (household, campaign, day)
);
CREATE TABLE shop.shopping_days (
	day		  date NOT NULL,
	household text NOT NULL,
	PRIMARY KEY (household, day)
);
GRANT USAGE ON SCHEMA shop TO marketing;
GRANT SELECT ON shop.shopping_days TO marketing;
RESET ROLE;

-- Rows of the first two are events from now on; the third only answers questions.
SELECT trigger_engine.track_table('shop.mailings', 'coupons_mailed', 'household', time_column => 'day');
SELECT trigger_engine.track_table('shop.redemptions', 'coupon_redeemed', 'household', time_column => 'day');

SET ROLE marketing;
CREATE VIEW marketing.shops_here AS
SELECT household AS user_id FROM shop.shopping_days
WHERE day > trigger_engine.clock()::date - 30 GROUP BY household;

SELECT trigger_engine.create_segment('shops_here', 'marketing.shops_here', description => 'bought something within 30 days');
SELECT trigger_engine.create_template('coupons_waiting', 'webhook', '{
	"type": "coupons.waiting",
	"title": "Your coupons wait for you",
	"text": "We sent you coupons on {{ event.day }} (campaign {{ event.campaign }}). They are good for a while yet.",
	"campaign": "{{ event.campaign }}"
}');

-- Coupons of which a household redeems none within two weeks; once a campaign.
SELECT trigger_engine.create_journey('coupon_reminder',
	trigger => '{"kind": "event", "name": "coupons_mailed", "entry_key": "$.campaign"}',
	steps => '[{"id": "two_weeks", "wait": "14 days"},
			   {"id": "remind", "send": "coupons_waiting", "provider": "crm"}]',
	exit_on => '[{"name": "coupon_redeemed"}]',
	reentry => '{"policy": "once_per_key"}',
	segment => 'shops_here');
RESET ROLE;
