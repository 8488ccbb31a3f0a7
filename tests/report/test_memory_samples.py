import numpy as np
import pytest
import torch

from hypermnesia.report.learned import memory_samples


def grey(level, n=8, side=8, channels=1):
    return torch.full((n, channels, side, side), level, dtype=torch.uint8)


def shown(drawn):
    (axes,) = drawn.figure.axes
    return axes, np.asarray(axes.images[0].get_array())


def middles(axes):
    return [int(x) for x in axes.get_xticks()], [int(y) for y in axes.get_yticks()]


def numbered(images):
    """Images of which the k-th has the level 10 k."""
    return images + torch.arange(len(images), dtype=torch.uint8).mul(10).view(-1, 1, 1, 1)


def test_a_row_after_each_task_and_a_column_for_each_task():
    levels = {0: {0: 10}, 1: {0: 20, 1: 90}, 2: {0: 40, 1: 130, 2: 200}}
    samples = {row: {t: grey(v) for t, v in known.items()} for row, known in levels.items()}
    axes, grid = shown(memory_samples(samples))
    xs, ys = middles(axes)
    assert (len(xs), len(ys)) == (3, 3)
    width, height = grid.shape[1] // 3, grid.shape[0] // 3
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            cell = grid[y - height // 2 : y + height // 2, x - width // 2 : x + width // 2]
            expected = {255} | ({levels[row][column]} if column <= row else set())
            assert set(cell.flatten().tolist()) == expected
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("images of task", "after task")


@pytest.mark.parametrize(("tasks", "images", "across"), [(2, 8, 2), (5, 8, 2), (6, 4, 1)])
def test_images_of_a_cell_stand_in_reading_order(tasks, images, across):
    samples = {row: {t: numbered(grey(5)) for t in range(row + 1)} for row in range(tasks)}
    _, grid = shown(memory_samples(samples))
    height, width = grid.shape[0] // tasks, grid.shape[1] // tasks
    cell = grid[-height:, :width, 0]
    levels = [level for level in cell.flatten().tolist() if level != 255]
    assert list(dict.fromkeys(levels)) == [5 + 10 * k for k in range(images)]
    in_the_first_row = cell[8 + 4 + 2]
    assert sorted(set(in_the_first_row.tolist()) - {255}) == [5 + 10 * k for k in range(across)]


def test_the_text_says_how_far_images_moved():
    samples = {0: {0: grey(100)}, 1: {0: grey(90), 1: grey(30)}, 2: {0: grey(60), 1: grey(31)}}
    samples[2][2] = grey(0)
    text = memory_samples(samples).text
    assert "changed by 20.5 of 255 levels (mean), those of task 1 most, by 40.0" in text
    assert "after learning task 1, 2, 3" in text


def test_mixed_images_are_one_column():
    samples = {row: {None: numbered(grey(row))} for row in (0, 1)}
    drawn = memory_samples(samples)
    axes, grid = shown(drawn)
    assert middles(axes)[0] == []
    assert axes.get_xlabel() == "images of all tasks so far"
    assert "all those so far are mixed" in drawn.text
    assert "changed" not in drawn.text
    line = grid[middles(axes)[1][1], :, 0].tolist()
    assert [v for v in dict.fromkeys(line) if v != 255] == [1 + 10 * k for k in range(8)]


def test_colours_stay_and_a_row_without_a_file_is_left_out():
    image = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
    image[:, 0] = 200
    axes, grid = shown(memory_samples({0: {0: image}, 3: {0: image, 2: image, 3: image}}))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["1", "4"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "3", "4"]
    assert {tuple(pixel) for pixel in grid.reshape(-1, 3).tolist()} == {(200, 0, 0), (255,) * 3}


def test_large_images_are_not_enlarged():
    _, grid = shown(memory_samples({0: {0: grey(3, side=64)}}))
    assert (grid[:, :, 0] == 3).sum() == 8 * 64 * 64
