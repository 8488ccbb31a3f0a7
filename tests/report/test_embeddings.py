import numpy as np
import pytest

from hypermnesia.report.learned import embedding_names, embedding_plot, principal_components


def distances(points):
    return np.linalg.norm(points[:, None] - points, axis=2)


def random_points(tasks, entries, seed=0):
    return np.random.default_rng(seed).normal(size=(tasks, entries))


@pytest.mark.parametrize(("tasks", "entries"), [(2, 8), (3, 8), (2, 1), (7, 2), (5, 1)])
def test_what_lies_in_a_plane_keeps_its_distances(tasks, entries):
    points = random_points(tasks, entries)
    places, shares = principal_components(points)
    assert places.shape == (tasks, 2)
    np.testing.assert_allclose(distances(places), distances(points), atol=1e-12)
    assert shares.sum() == pytest.approx(1)


def test_points_of_a_plane_in_many_dimensions_keep_their_distances():
    flat = random_points(20, 2) @ random_points(2, 30, seed=1) + 5
    places, shares = principal_components(flat)
    np.testing.assert_allclose(distances(places), distances(flat), atol=1e-10)
    assert shares.sum() == pytest.approx(1)


def test_shares_are_of_the_variance_and_components_those_of_the_covariance():
    points = random_points(40, 5) * [3.0, 2.0, 1.0, 0.5, 0.1]
    places, shares = principal_components(points)
    values = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    np.testing.assert_allclose(shares, values[:2] / values.sum())
    np.testing.assert_allclose(places.var(axis=0, ddof=1), values[:2])
    # The same way round, whatever the numerics: large entries of the points lie to the right.
    assert np.corrcoef(places[:, 0], points[:, 0])[0, 1] > 0.9


def test_where_nothing_varies_all_lie_at_one_place():
    places, shares = principal_components(np.ones((3, 4)))
    assert not places.any()
    assert not shares.any()


def test_the_map_and_its_text():
    points = np.array([[0.0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 0, 9]])
    drawn = embedding_plot(points, "networks", [1] * 4)
    assert drawn.name == "embeddings-networks"
    (axes,) = drawn.figure.axes
    places, shares = principal_components(points)
    np.testing.assert_allclose(axes.collections[0].get_offsets(), places)
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4"]
    assert f"hold {100 * shares[0]:.1f} % and {100 * shares[1]:.1f} %" in drawn.text
    assert "4 task embeddings (3 entries each)" in drawn.text
    assert "least, 2 and 3 (1); greatest, 3 and 4 (9.54)" in drawn.text


def test_two_tasks_have_one_distance():
    text = embedding_plot(np.array([[0.0, 0.0], [3.0, 4.0]]), "autoencoders", [1, 1]).text
    assert "Distance over all entries: 1 and 2 (5)" in text
    assert "100.0 % and 0.0 %" in text


def test_classes_are_named_by_their_task():
    points = np.array([[0.0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 0, 9]])
    drawn = embedding_plot(points, "autoencoders", [2, 2])
    assert [text.get_text() for text in drawn.figure.axes[0].texts] == ["1a", "1b", "2a", "2b"]
    assert "4 class embeddings (3 entries each)" in drawn.text
    assert "least, 1b and 2a (1); greatest, 2a and 2b (9.54)" in drawn.text
    assert drawn.title == "Class embeddings of the autoencoders"
    assert embedding_names([28])[25:] == ["1z", "1aa", "1ab"]


def test_of_many_tasks_the_first_and_the_last_are_named():
    drawn = embedding_plot(random_points(40, 4), "networks", [1] * 40)
    assert [text.get_text() for text in drawn.figure.axes[0].texts] == ["1", "40"]
    drawn.figure.draw_without_rendering()
