BEGIN TRANSACTION;
CREATE TABLE interventions (
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        step INTEGER NOT NULL,
        what TEXT NOT NULL,
        value_before REAL NOT NULL,
        value_after REAL NOT NULL,
        layer TEXT NOT NULL,
        at_row INTEGER,
        at_column INTEGER,
        edit INTEGER NOT NULL,
        PRIMARY KEY (run, number)
    ) WITHOUT ROWID;
CREATE TABLE looks (
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        step INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        seconds REAL NOT NULL,
        arrays BLOB NOT NULL,
        PRIMARY KEY (run, kind, step)
    );
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
CREATE TABLE predictions (
        number INTEGER PRIMARY KEY,
        lesson TEXT NOT NULL,
        question TEXT NOT NULL,
        owner TEXT NOT NULL,
        choice INTEGER NOT NULL,
        UNIQUE (lesson, question, owner)
    );
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
    , pause_requested REAL, first_step INTEGER NOT NULL DEFAULT 0, learning_rate REAL, kind TEXT NOT NULL DEFAULT 'training', group_id TEXT NOT NULL DEFAULT '', steps_requested INTEGER NOT NULL DEFAULT 0, pace REAL NOT NULL DEFAULT 0, version TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '[]', starred INTEGER NOT NULL DEFAULT 0, archived REAL, deleted REAL, best_accuracy REAL, best_loss REAL, validation_loss REAL, trained_before REAL NOT NULL DEFAULT 0, most_seconds REAL, most_pause REAL, moved INTEGER NOT NULL DEFAULT 0, lesson TEXT NOT NULL DEFAULT '', deleted_by TEXT NOT NULL DEFAULT '');
INSERT INTO "runs" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','ann',NULL,'old','{"data":{"dataset":"mnist","task":"classes","target":8,"normalization":"none","channel_mean":[0.5],"channel_std":[0.5],"validation":5000,"variations":0,"split_seed":0,"transforms":[],"points":100,"noise":0.0,"vocabulary":1000,"text_length":64,"text_file":"","features":["x1","x2"],"added":[],"join":[],"join_times":1,"only_classes":[],"fraction":1.0,"imbalance":1.0,"label_noise":0.0},"model":{"architecture":"mlp","hidden":[50],"activation":"relu","dropout":0.0},"training":{"loss":"cross_entropy","label_smoothing":0.0,"optimizer":{"name":"adam","learning_rate":0.001,"beta1":0.9,"beta2":0.999,"weight_decay":0.0},"schedule":{"name":"constant"},"batch_size":32,"epochs":5,"shuffle":true,"gradient_clipping":0.0,"l1":0.0,"initialization":"default","early_stopping":0,"keep":"last","seed":7,"precision":"auto","device":"auto","threads":"auto","moments":40,"moment_epochs":[],"start_from":"","trainable":"all","rate_below_last":1.0}}','finished','',1.79600599022127461437e+09,1.79600599022216892244e+09,1.79600599022282743453e+09,1.79600599022270512577e+09,NULL,'worker',2,10,4,2,39760,'cpu','float32',0.5,0.5,0.25,3.0,NULL,0,NULL,'training','',0,0.0,'0.12.0','','[]',0,NULL,NULL,0.75,1.25,1.75,0.0,NULL,NULL,0,'','');
INSERT INTO "runs" VALUES(2,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','ben',NULL,'waits','{"data":{"dataset":"mnist","task":"classes","target":8,"normalization":"none","channel_mean":[0.5],"channel_std":[0.5],"validation":5000,"variations":0,"split_seed":0,"transforms":[],"points":100,"noise":0.0,"vocabulary":1000,"text_length":64,"text_file":"","features":["x1","x2"],"added":[],"join":[],"join_times":1,"only_classes":[],"fraction":1.0,"imbalance":1.0,"label_noise":0.0},"model":{"architecture":"mlp","hidden":[50],"activation":"relu","dropout":0.0},"training":{"loss":"cross_entropy","label_smoothing":0.0,"optimizer":{"name":"adam","learning_rate":0.001,"beta1":0.9,"beta2":0.999,"weight_decay":0.0},"schedule":{"name":"constant"},"batch_size":32,"epochs":5,"shuffle":true,"gradient_clipping":0.0,"l1":0.0,"initialization":"default","early_stopping":0,"keep":"last","seed":7,"precision":"auto","device":"auto","threads":"auto","moments":40,"moment_epochs":[],"start_from":"","trainable":"all","rate_below_last":1.0}}','queued','',1.79600599022287440303e+09,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,'','',NULL,NULL,NULL,NULL,NULL,0,NULL,'training','',0,0.0,'0.12.0','','[]',0,NULL,NULL,NULL,NULL,NULL,0.0,NULL,NULL,0,'','');
CREATE TABLE schemas (
        schema INTEGER PRIMARY KEY,
        version TEXT NOT NULL
    );
INSERT INTO "schemas" VALUES(11,'0.12.0');
CREATE TABLE snapshots (
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        step INTEGER NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID
    ;
INSERT INTO "snapshots" VALUES(1,'number_format',0,'{"precision": "float32", "why": ""}');
CREATE TABLE sweeps (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        kind TEXT NOT NULL,
        lesson TEXT NOT NULL DEFAULT '',
        title TEXT NOT NULL DEFAULT '',
        plan TEXT NOT NULL,
        status TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        note TEXT NOT NULL DEFAULT '',
        created REAL NOT NULL,
        finished REAL,
        driver TEXT NOT NULL DEFAULT '',
        heartbeat REAL NOT NULL DEFAULT 0,
        seconds REAL NOT NULL DEFAULT 0,
        result TEXT NOT NULL DEFAULT ''
    );
CREATE TABLE trained (
        owner TEXT NOT NULL,
        finished REAL NOT NULL,
        seconds REAL NOT NULL
    );
CREATE TABLE trials (
        run INTEGER PRIMARY KEY REFERENCES runs(number) ON DELETE CASCADE,
        sweep TEXT NOT NULL,
        trial INTEGER NOT NULL,
        repeat INTEGER NOT NULL,
        params TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT '',
        value REAL,
        reason TEXT NOT NULL DEFAULT '',
        retries INTEGER NOT NULL DEFAULT 0,
        tested INTEGER NOT NULL DEFAULT 0,
        UNIQUE (sweep, trial, repeat)
    );
CREATE TABLE turns (
        owner TEXT PRIMARY KEY,
        turn INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE visitors (
        number INTEGER PRIMARY KEY,
        owner TEXT NOT NULL UNIQUE
    );
CREATE TABLE wall_names (
        lesson TEXT NOT NULL,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        allowed INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (lesson, owner)
    ) WITHOUT ROWID;
CREATE TABLE weight_edits (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        layer TEXT NOT NULL,
        at_row INTEGER NOT NULL,
        at_column INTEGER,
        value REAL NOT NULL
    );
CREATE INDEX runs_status ON runs(status);
CREATE INDEX metrics_run ON metrics(run)
    ;
CREATE INDEX weight_edits_run ON weight_edits(run)
    ;
CREATE INDEX runs_deleted ON runs(deleted) WHERE deleted IS NOT NULL
    ;
CREATE INDEX runs_owner ON runs(owner);
CREATE INDEX runs_lesson ON runs(lesson) WHERE lesson <> '';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',2);
INSERT INTO "sqlite_sequence" VALUES('metrics',6);
COMMIT;
PRAGMA user_version = 11;
