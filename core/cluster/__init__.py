"""Runs on a Ray cluster that exists: `PLAYGROUND_ENGINE=ray` with `RAY_ADDRESS`.

    server       core.cluster.engine       RayEngine: what is asked for, and a child process that is watched
      child      core.cluster.dispatcher   joins the cluster, takes runs from the queue, and alone writes the store for them
    cluster      core.cluster.worker       an actor of Ray's for each run at a time, which does what core.runs.worker does here

The child is a process of its own because Ray ends the process that has joined a cluster when it loses it. Nothing here but
the dispatcher and the worker imports ray, and nothing starts a cluster.
"""
