"""Values in, pictures out: Plotly figures for what has finished, ECharts options for what is still moving."""
