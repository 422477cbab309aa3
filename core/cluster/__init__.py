"""Runs on a Ray cluster that exists: `PLAYGROUND_ENGINE=ray` with `RAY_ADDRESS`.

    server       core.cluster.engine       RayEngine: what is asked for, and a child process that is watched
                 core.cluster.dispatcher   takes runs from the queue, and alone writes the store for them
                 core.cluster.link         its end of the pipe to the child
      child      core.cluster.bridge       joins the cluster and hands on what either side says, without reading it
    cluster      core.cluster.worker       an actor of Ray's for each run at a time, which does what core.runs.worker does here

The child is a process of its own because Ray ends the process that has joined a cluster when it loses it. It has no PyTorch,
which would be most of its memory. Nothing here but the bridge and the worker imports ray, and nothing starts a cluster.
"""
