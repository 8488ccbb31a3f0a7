"""Regression, season by season: how warm a day gets.

A clear night means frost in winter and a hot day in summer. A network that is trained on as the
year goes round forgets what held in other seasons; the learner keeps a network for each. Of four
years of Seattle's weather the last is predicted. Run it: `python examples/seasons.py`, after
`pip install --no-deps vega-datasets`, which has the data.
"""

# %%
# From a day's rain, coldest degrees and wind to its warmest; (n, 3) and (n,) floats.
import csv
import sys
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neural_network import MLPRegressor
from torch import nn

from hypermnesia import ContinualLearner

if (place := find_spec("vega_datasets")) is None:
    print("skipped: the package vega-datasets, which has the weather, is not installed")
    sys.exit()
folder = Path(place.submodule_search_locations[0])
with (folder / "_data" / "seattle-weather.csv").open(encoding="utf-8") as file:
    days = [*csv.DictReader(file)]
columns = ("precipitation", "temp_min", "wind", "temp_max")
values = np.array([[float(day[name]) for name in columns] for day in days], np.float32)
x, y = ((values - values.mean(0)) / values.std(0))[:, :3], values[:, 3]
months = np.array([int(day["date"][5:7]) for day in days])
seasons = dict(enumerate(("winter", "spring", "summer", "autumn")))
season = np.array([seasons[month % 12 // 3] for month in months])
new = np.arange(len(days)) >= len(days) - 366

# %%
# One `fit` a season, of all three years at once; and an ordinary network, trained in turn.
model = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1))
learner = ContinualLearner(model, None, iterations=400, lr=3e-3)
plain = MLPRegressor(hidden_layer_sizes=(32,), random_state=0, learning_rate_init=3e-3)
for name in seasons.values():
    rows = (season == name) & ~new
    learner.fit(x[rows], y[rows], task=name)
    for _ in range(300):
        plain.partial_fit(x[rows], y[rows])

# %%
# The last year, day by day.
found, left = np.zeros(len(y)), plain.predict(x)
print("mean error, degrees   learner   network trained in turn")
for name in seasons.values():
    rows = (season == name) & new
    found[rows] = learner.predict(x[rows], task=name)
    errors = [np.abs(each[rows] - y[rows]).mean() for each in (found, left)]
    print(f"{name:19} {errors[0]:9.2f} {errors[1]:25.2f}")
smooth = np.ones(14) / 14
figure, axes = plt.subplots(layout="constrained")
for values, label in ((found, "learner"), (left, "network trained in turn")):
    wrong = np.convolve(np.abs(values - y)[new], smooth, "valid")
    axes.plot(np.arange(len(wrong)) + 7, wrong, label=label)
axes.set(xlabel="day of the last year", ylabel="mean error of two weeks, degrees")
figure.legend(loc="outside lower center", ncols=2)
plt.show()
