BEGIN TRANSACTION;
CREATE TABLE metrics (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        first_step INTEGER NOT NULL,
        last_step INTEGER NOT NULL,
        steps BLOB NOT NULL,
        points BLOB NOT NULL
    );
INSERT INTO "metrics" VALUES(1,1,'loss',1,2,X'01000000000000000200000000000000',X'0000000000000040000000000000F83F');
INSERT INTO "metrics" VALUES(2,1,'validation_loss',2,2,X'0200000000000000',X'000000000000F43F');
INSERT INTO "metrics" VALUES(3,1,'validation_accuracy',2,2,X'0200000000000000',X'000000000000E83F');
INSERT INTO "metrics" VALUES(4,1,'loss',3,4,X'03000000000000000400000000000000',X'000000000000F03F000000000000E03F');
INSERT INTO "metrics" VALUES(5,1,'validation_loss',4,4,X'0400000000000000',X'000000000000FC3F');
INSERT INTO "metrics" VALUES(6,1,'validation_accuracy',4,4,X'0400000000000000',X'000000000000E03F');
CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        key TEXT,                       -- idempotency key of the request that made it
        title TEXT NOT NULL,
        config TEXT NOT NULL,           -- RunConfig as JSON
        status TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        created REAL NOT NULL,          -- these are seconds since 1970
        started REAL,
        finished REAL,
        heartbeat REAL,
        stop_requested REAL,
        worker TEXT,                    -- who has claimed it
        steps_per_epoch INTEGER NOT NULL DEFAULT 0,
        steps INTEGER NOT NULL DEFAULT 0,
        step INTEGER NOT NULL DEFAULT 0,
        epoch INTEGER NOT NULL DEFAULT 0,
        parameters INTEGER,
        device TEXT NOT NULL DEFAULT '',
        precision TEXT NOT NULL DEFAULT '',
        validation_accuracy REAL,
        test_accuracy REAL,
        test_loss REAL,
        seconds REAL                    -- of training
    , pause_requested REAL, first_step INTEGER NOT NULL DEFAULT 0, learning_rate REAL, kind TEXT NOT NULL DEFAULT 'training', group_id TEXT NOT NULL DEFAULT '', steps_requested INTEGER NOT NULL DEFAULT 0, pace REAL NOT NULL DEFAULT 0);
INSERT INTO "runs" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','ann',NULL,'old','{"data":{"dataset":"mnist","task":"classes","target":8,"normalization":"none","validation":5000,"variations":0,"split_seed":0,"transforms":[],"points":100,"noise":0.0,"vocabulary":1000,"text_length":64,"text_file":"","features":["x1","x2"],"added":[],"join":[],"join_times":1,"only_classes":[],"fraction":1.0,"imbalance":1.0,"label_noise":0.0},"model":{"architecture":"mlp","hidden":[50],"activation":"relu","dropout":0.0},"training":{"loss":"cross_entropy","label_smoothing":0.0,"optimizer":{"name":"adam","learning_rate":0.001,"beta1":0.9,"beta2":0.999,"weight_decay":0.0},"schedule":{"name":"constant"},"batch_size":32,"epochs":5,"gradient_clipping":0.0,"l1":0.0,"initialization":"default","early_stopping":0,"keep":"last","seed":7,"precision":"auto","device":"auto","start_from":""}}','finished','',1.79598689531516456608e+09,1.79598689531560707093e+09,1.79598689531611227987e+09,1.79598689531602334979e+09,NULL,'here',2,4,4,2,6370,'cpu','float32',0.5,0.5,0.25,3.0,NULL,0,NULL,'training','',0,0.0);
INSERT INTO "runs" VALUES(2,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','ben',NULL,'waits','{"data":{"dataset":"mnist","task":"classes","target":8,"normalization":"none","validation":5000,"variations":0,"split_seed":0,"transforms":[],"points":100,"noise":0.0,"vocabulary":1000,"text_length":64,"text_file":"","features":["x1","x2"],"added":[],"join":[],"join_times":1,"only_classes":[],"fraction":1.0,"imbalance":1.0,"label_noise":0.0},"model":{"architecture":"mlp","hidden":[50],"activation":"relu","dropout":0.0},"training":{"loss":"cross_entropy","label_smoothing":0.0,"optimizer":{"name":"adam","learning_rate":0.001,"beta1":0.9,"beta2":0.999,"weight_decay":0.0},"schedule":{"name":"constant"},"batch_size":32,"epochs":5,"gradient_clipping":0.0,"l1":0.0,"initialization":"default","early_stopping":0,"keep":"last","seed":7,"precision":"auto","device":"auto","start_from":""}}','queued','',1.79598689531616353986e+09,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,'','',NULL,NULL,NULL,NULL,NULL,0,NULL,'training','',0,0.0);
CREATE TABLE snapshots (
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        step INTEGER NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID
    ;
CREATE INDEX runs_status ON runs(status);
CREATE INDEX metrics_run ON metrics(run)
    ;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',2);
INSERT INTO "sqlite_sequence" VALUES('metrics',6);
COMMIT;
PRAGMA user_version = 5;
