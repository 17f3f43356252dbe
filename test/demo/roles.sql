-- The three kinds of people who work with the engine, and no superuser among them.

CREATE ROLE shop LOGIN;			-- the application: writes its tables and events
CREATE ROLE marketing LOGIN;	-- the analyst: segments, templates, journeys
CREATE ROLE operator LOGIN;		-- providers and their secrets, the clock
