BEGIN TRANSACTION;
CREATE TABLE adaptations (
            mac INTEGER NOT NULL, fingerprint TEXT NOT NULL, profile TEXT NOT NULL, worked INTEGER NOT NULL,
            why TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (mac, fingerprint)
        ) WITHOUT ROWID;
INSERT INTO "adaptations" VALUES(90520741919489,'52:54:00 PXEClient:Arch:00000','without option 43',1,'it ignored the offers before',1790000200.0);
CREATE TABLE allowed (
        first INTEGER NOT NULL, last INTEGER NOT NULL, label TEXT NOT NULL, added REAL NOT NULL, root TEXT NOT NULL DEFAULT '', entry TEXT NOT NULL DEFAULT '', timeout INTEGER, schedule TEXT NOT NULL DEFAULT '', image TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (first, last)
    ) WITHOUT ROWID;
INSERT INTO "allowed" VALUES(73588229205,73588229205,'',1790000000.5,'','',NULL,'','');
INSERT INTO "allowed" VALUES(90520741919488,90520741919743,'room 12, window',1790000000.5,'','',NULL,'','');
INSERT INTO "allowed" VALUES(90520741920000,90520741920255,'room 13',1790000000.5,'http','local',5,'night','');
CREATE TABLE boots (
        id INTEGER PRIMARY KEY AUTOINCREMENT, mac INTEGER NOT NULL, started REAL NOT NULL, token TEXT NOT NULL,
        release TEXT NOT NULL, inherited TEXT NOT NULL
    , latest INTEGER NOT NULL DEFAULT 0, last_at REAL NOT NULL DEFAULT 0, stage TEXT NOT NULL DEFAULT '', under_way INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT '');
INSERT INTO "boots" VALUES(1,90520741919489,1790000101.0,'secret-1','20260901-100000-aaaaaaaa','',0,1790000112.0,'',0,'');
INSERT INTO "boots" VALUES(2,90520741919489,1790000113.0,'secret-3','20260902-100000-bbbbbbbb','192.0.2.10',1,1790000133.0,'',0,'');
INSERT INTO "boots" VALUES(3,90520741919490,1790000125.0,'secret-5','20260902-100000-bbbbbbbb','',1,1790000132.0,'',0,'');
CREATE TABLE canaries (
            id INTEGER PRIMARY KEY AUTOINCREMENT, release TEXT NOT NULL, base TEXT NOT NULL, chosen TEXT NOT NULL,
            seconds REAL NOT NULL, share INTEGER NOT NULL, tasks INTEGER NOT NULL, began REAL NOT NULL,
            after INTEGER NOT NULL, looked REAL NOT NULL, until REAL, ended REAL, verdict TEXT NOT NULL,
            reason TEXT NOT NULL, mac INTEGER
        );
INSERT INTO "canaries" VALUES(1,'20260903-100000-cccccccc','20260902-100000-bbbbbbbb','room 12',3600.0,90,1,1790000160.0,3,1790000170.0,1790003760.0,NULL,'','',NULL);
CREATE TABLE canary_ranges (
            canary INTEGER NOT NULL REFERENCES canaries ON DELETE CASCADE, first INTEGER NOT NULL,
            last INTEGER NOT NULL, PRIMARY KEY (canary, first, last)
        ) WITHOUT ROWID;
INSERT INTO "canary_ranges" VALUES(1,90520741919489,90520741919490);
CREATE TABLE canary_tasks (
            canary INTEGER NOT NULL REFERENCES canaries ON DELETE CASCADE, mac INTEGER NOT NULL,
            succeeded INTEGER NOT NULL, PRIMARY KEY (canary, mac)
        ) WITHOUT ROWID;
INSERT INTO "canary_tasks" VALUES(1,90520741919489,7);
CREATE TABLE "clients" (
            mac INTEGER PRIMARY KEY, number INTEGER UNIQUE, first_seen REAL NOT NULL, gui_rpc_password TEXT NOT NULL
        );
INSERT INTO "clients" VALUES(90520741919489,1,1790000101.0,'secret-0');
INSERT INTO "clients" VALUES(90520741919490,2,1790000125.0,'secret-4');
CREATE TABLE control (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE credits (mac INTEGER PRIMARY KEY, marks TEXT NOT NULL);
INSERT INTO "credits" VALUES(90520741919489,'{"https://project.example.org/":[17,123.5]}');
CREATE TABLE day_totals (
            day INTEGER PRIMARY KEY, pcs INTEGER NOT NULL, powered INTEGER NOT NULL, computed INTEGER NOT NULL,
            credit REAL NOT NULL
        );
INSERT INTO "day_totals" VALUES(20717,2,5400,14400,12.5);
CREATE TABLE days (
            day INTEGER NOT NULL, mac INTEGER NOT NULL, powered INTEGER NOT NULL, computed INTEGER NOT NULL,
            credit REAL NOT NULL, PRIMARY KEY (day, mac)
        ) WITHOUT ROWID;
INSERT INTO "days" VALUES(20717,90520741919489,3600,14400,12.5);
CREATE TABLE deliveries (
            notice INTEGER NOT NULL REFERENCES notices ON DELETE CASCADE, address TEXT NOT NULL, name TEXT NOT NULL,
            due REAL NOT NULL, tries INTEGER NOT NULL, ended REAL, result TEXT NOT NULL, PRIMARY KEY (notice, address)
        ) WITHOUT ROWID;
INSERT INTO "deliveries" VALUES(1,'0123456789abcdef','admin@example.org',1790000160.0,1,1790000161.0,'sent');
CREATE TABLE edits (count INTEGER NOT NULL);
INSERT INTO "edits" VALUES(7);
CREATE TABLE "events" (
            id INTEGER PRIMARY KEY AUTOINCREMENT, boot INTEGER NOT NULL REFERENCES boots ON DELETE CASCADE,
            at REAL NOT NULL, kind TEXT NOT NULL, details TEXT NOT NULL
        );
INSERT INTO "events" VALUES(1,1,1790000101.0,'Discovered','{"mac": "52:54:00:aa:bb:01", "architecture": 7, "ipxe": false, "xid": 1, "secs": 0}');
INSERT INTO "events" VALUES(2,1,1790000102.0,'Offered','{"mac": "52:54:00:aa:bb:01", "boot_file": "525400aabb01/snponly.efi", "port": 67}');
INSERT INTO "events" VALUES(3,1,1790000103.0,'TransferProgressed','{"mac": "52:54:00:aa:bb:01", "service": "tftp", "path": "snponly.efi", "sent": 0, "size": 200000}');
INSERT INTO "events" VALUES(4,1,1790000104.0,'TransferServed','{"mac": "52:54:00:aa:bb:01", "service": "tftp", "path": "snponly.efi", "size": 200000, "seconds": 1.5}');
INSERT INTO "events" VALUES(5,1,1790000105.0,'AddressSeen','{"mac": "52:54:00:aa:bb:01", "address": "192.0.2.10"}');
INSERT INTO "events" VALUES(6,1,1790000106.0,'ScriptServed','{"mac": "52:54:00:aa:bb:01"}');
INSERT INTO "events" VALUES(7,1,1790000107.0,'TransferServed','{"mac": "52:54:00:aa:bb:01", "service": "http", "path": "image/20260901-100000-aaaaaaaa/vmlinuz", "size": 8000000, "seconds": 0.5}');
INSERT INTO "events" VALUES(8,1,1790000108.0,'TransferServed','{"mac": "52:54:00:aa:bb:01", "service": "http", "path": "image/20260901-100000-aaaaaaaa/initrd.img", "size": 30000000, "seconds": 1.5}');
INSERT INTO "events" VALUES(9,1,1790000109.0,'Reported','{"mac": "52:54:00:aa:bb:01", "stage": "root-mounted", "details": {}}');
INSERT INTO "events" VALUES(10,1,1790000110.0,'Reported','{"mac": "52:54:00:aa:bb:01", "stage": "reported", "details": {"address": "192.0.2.10"}}');
INSERT INTO "events" VALUES(11,1,1790000111.0,'Reported','{"mac": "52:54:00:aa:bb:01", "stage": "attached", "details": {"hostid": "17"}}');
INSERT INTO "events" VALUES(12,1,1790000112.0,'Reported','{"mac": "52:54:00:aa:bb:01", "stage": "computing", "details": {"hostid": "17"}}');
INSERT INTO "events" VALUES(13,2,1790000113.0,'Discovered','{"mac": "52:54:00:aa:bb:01", "architecture": 7, "ipxe": false, "xid": 2, "secs": 0}');
INSERT INTO "events" VALUES(14,2,1790000114.0,'Offered','{"mac": "52:54:00:aa:bb:01", "boot_file": "525400aabb01/snponly.efi", "port": 67}');
INSERT INTO "events" VALUES(15,2,1790000115.0,'TransferProgressed','{"mac": "52:54:00:aa:bb:01", "service": "tftp", "path": "snponly.efi", "sent": 0, "size": 200000}');
INSERT INTO "events" VALUES(16,2,1790000116.0,'TransferServed','{"mac": "52:54:00:aa:bb:01", "service": "tftp", "path": "snponly.efi", "size": 200000, "seconds": 1.5}');
INSERT INTO "events" VALUES(17,2,1790000117.0,'AddressSeen','{"mac": "52:54:00:aa:bb:01", "address": "192.0.2.11"}');
INSERT INTO "events" VALUES(18,2,1790000118.0,'ScriptServed','{"mac": "52:54:00:aa:bb:01"}');
INSERT INTO "events" VALUES(19,2,1790000119.0,'TransferServed','{"mac": "52:54:00:aa:bb:01", "service": "http", "path": "image/20260902-100000-bbbbbbbb/vmlinuz", "size": 8000000, "seconds": 0.5}');
INSERT INTO "events" VALUES(20,2,1790000120.0,'TransferServed','{"mac": "52:54:00:aa:bb:01", "service": "http", "path": "image/20260902-100000-bbbbbbbb/initrd.img", "size": 30000000, "seconds": 1.5}');
INSERT INTO "events" VALUES(21,2,1790000121.0,'Reported','{"mac": "52:54:00:aa:bb:01", "stage": "root-mounted", "details": {}}');
INSERT INTO "events" VALUES(22,2,1790000122.0,'Reported','{"mac": "52:54:00:aa:bb:01", "stage": "reported", "details": {"address": "192.0.2.11"}}');
INSERT INTO "events" VALUES(23,2,1790000123.0,'Reported','{"mac": "52:54:00:aa:bb:01", "stage": "attached", "details": {"hostid": "17"}}');
INSERT INTO "events" VALUES(24,2,1790000124.0,'Reported','{"mac": "52:54:00:aa:bb:01", "stage": "computing", "details": {"hostid": "17"}}');
INSERT INTO "events" VALUES(25,3,1790000125.0,'Discovered','{"mac": "52:54:00:aa:bb:02", "architecture": 7, "ipxe": false, "xid": 3, "secs": 0}');
INSERT INTO "events" VALUES(26,3,1790000126.0,'Offered','{"mac": "52:54:00:aa:bb:02", "boot_file": "525400aabb02/snponly.efi", "port": 67}');
INSERT INTO "events" VALUES(27,3,1790000127.0,'TransferProgressed','{"mac": "52:54:00:aa:bb:02", "service": "tftp", "path": "snponly.efi", "sent": 0, "size": 200000}');
INSERT INTO "events" VALUES(28,3,1790000128.0,'TransferServed','{"mac": "52:54:00:aa:bb:02", "service": "tftp", "path": "snponly.efi", "size": 200000, "seconds": 1.5}');
INSERT INTO "events" VALUES(29,3,1790000129.0,'AddressSeen','{"mac": "52:54:00:aa:bb:02", "address": "192.0.2.12"}');
INSERT INTO "events" VALUES(30,3,1790000130.0,'ScriptServed','{"mac": "52:54:00:aa:bb:02"}');
INSERT INTO "events" VALUES(31,3,1790000131.0,'TransferServed','{"mac": "52:54:00:aa:bb:02", "service": "http", "path": "image/20260902-100000-bbbbbbbb/vmlinuz", "size": 8000000, "seconds": 0.5}');
INSERT INTO "events" VALUES(32,3,1790000132.0,'TransferFailed','{"mac": "52:54:00:aa:bb:02", "service": "http", "path": "image/20260902-100000-bbbbbbbb/initrd.img", "sent": 1000, "why": "closed"}');
INSERT INTO "events" VALUES(33,2,1790000133.0,'AddressLost','{"mac": "52:54:00:aa:bb:01", "address": "192.0.2.11"}');
CREATE TABLE fallbacks (
            mac INTEGER PRIMARY KEY, failed TEXT NOT NULL, release TEXT NOT NULL, at REAL NOT NULL, why TEXT NOT NULL
        );
INSERT INTO "fallbacks" VALUES(90520741919490,'20260902-100000-bbbbbbbb','20260901-100000-aaaaaaaa',1790000165.0,'it hung');
CREATE TABLE heartbeats (
            mac INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at REAL NOT NULL, doing TEXT NOT NULL, facts TEXT NOT NULL,
            boinc TEXT NOT NULL
        );
INSERT INTO "heartbeats" VALUES(90520741919489,2,1790000140.0,'','{"uptime": "61", "boinc": "running"}','{}');
CREATE TABLE holds (
            label TEXT PRIMARY KEY, state TEXT NOT NULL, began REAL NOT NULL, until REAL
        ) WITHOUT ROWID;
CREATE TABLE "ignored" (
            sender TEXT NOT NULL, client TEXT NOT NULL, service TEXT NOT NULL, reason TEXT NOT NULL,
            first_at REAL NOT NULL, last_at REAL NOT NULL, count INTEGER NOT NULL,
            sender_mac TEXT NOT NULL, PRIMARY KEY (sender, client, service, reason)
        ) WITHOUT ROWID;
INSERT INTO "ignored" VALUES('','52:54:00:00:00:09','dhcp','its MAC address is not in the allowlist',1790000134.0,1790000135.0,2,'');
CREATE TABLE leases (
            address INTEGER PRIMARY KEY, mac INTEGER NOT NULL, client_id BLOB NOT NULL, state TEXT NOT NULL,
            expires REAL NOT NULL
        ) WITHOUT ROWID;
INSERT INTO "leases" VALUES(3221225994,90520741919489,X'01525400AABB01','leased',1790003600.0);
CREATE TABLE next_boots (mac INTEGER PRIMARY KEY, entry TEXT NOT NULL, boot INTEGER) WITHOUT ROWID;
INSERT INTO "next_boots" VALUES(90520741919489,'local',NULL);
CREATE TABLE notice_rules (rule TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "notice_rules" VALUES('silent','{"last": 1790000150.0, "tracked": {}, "made": [], "ended": []}');
CREATE TABLE notices (
            id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL, level TEXT NOT NULL, title TEXT NOT NULL,
            body TEXT NOT NULL, made REAL NOT NULL
        );
INSERT INTO "notices" VALUES(1,'booted','info','1 PC came up','52:54:00:aa:bb:01',1790000150.0);
CREATE TABLE orders (
            id INTEGER PRIMARY KEY AUTOINCREMENT, mac INTEGER NOT NULL, verb TEXT NOT NULL, given REAL NOT NULL,
            sent REAL, ended REAL, result TEXT NOT NULL
        );
INSERT INTO "orders" VALUES(1,90520741919489,'suspend',1790000141.0,1790000142.0,1790000143.0,'done');
INSERT INTO "orders" VALUES(2,90520741919489,'finish-disk',1790000144.0,NULL,NULL,'');
CREATE TABLE respites (mac INTEGER PRIMARY KEY, began REAL NOT NULL, until REAL NOT NULL);
INSERT INTO "holds" VALUES('room 12','off',1790000170.0,1790003770.0);
INSERT INTO "respites" VALUES(90520741919489,1790000160.0,1790003760.0);
CREATE TABLE server (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "server" VALUES('services','[{"name": "dhcp", "address": "192.0.2.1", "port": 67}]');
INSERT INTO "server" VALUES('started','1790000000.0');
CREATE TABLE sessions (
            hash TEXT PRIMARY KEY, began REAL NOT NULL, ends REAL NOT NULL
        ) WITHOUT ROWID;
CREATE TABLE tokens (
            name TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, read_only INTEGER NOT NULL, added REAL NOT NULL
        ) WITHOUT ROWID;
CREATE TABLE wakes (
            id INTEGER PRIMARY KEY AUTOINCREMENT, mac INTEGER NOT NULL, asked_by TEXT NOT NULL, asked REAL NOT NULL,
            tries INTEGER NOT NULL, due REAL NOT NULL, ended REAL, result TEXT NOT NULL
        );
INSERT INTO "wakes" VALUES(1,90520741919489,'schedule night',1790000180.0,1,1790000240.0,1790000200.0,'came');
INSERT INTO "wakes" VALUES(2,90520741919490,'hand',1790000190.0,0,1790000190.0,NULL,'');
CREATE INDEX boots_of_client ON boots (mac, id);
CREATE INDEX heartbeats_seen ON heartbeats (at, boot, doing);
CREATE INDEX orders_open ON orders (mac) WHERE ended IS NULL;
CREATE INDEX boots_latest ON boots (last_at, under_way, stage, mac) WHERE latest;
CREATE INDEX deliveries_open ON deliveries (notice) WHERE ended IS NULL;
CREATE INDEX latest_of_client ON boots (mac) WHERE latest;
CREATE INDEX events_of_boot ON events (boot, id);
CREATE INDEX wakes_open ON wakes (due) WHERE ended IS NULL;
CREATE INDEX wakes_of_client ON wakes (mac, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('boots',3);
INSERT INTO "sqlite_sequence" VALUES('canaries',1);
INSERT INTO "sqlite_sequence" VALUES('notices',1);
INSERT INTO "sqlite_sequence" VALUES('orders',2);
INSERT INTO "sqlite_sequence" VALUES('events',33);
INSERT INTO "sqlite_sequence" VALUES('wakes',2);
COMMIT;
PRAGMA user_version = 10;
