"""A network layer by layer: shapes, parameters, multiply-adds, memory, receptive fields."""
