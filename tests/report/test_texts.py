from hypermnesia.report.tables import TextTable, csv_text, latex, markdown

TABLE = TextTable("a title", ["method", "x|y"], [["m_1", "50 % ± 1"], ["b&c", "-"]])


def test_markdown():
    assert markdown([TABLE], ["a note"]) == (
        "**a title**\n\n"
        "| method | x\\|y |\n| --- | ---: |\n| m_1 | 50 % ± 1 |\n| b&c | - |\n\n"
        "a note\n"
    )


def test_latex_escapes_what_it_would_read():
    assert latex([TABLE], ["a note"]).splitlines() == [
        "% a title",
        r"\begin{tabular}{lr}",
        r"\hline",
        r"method & x|y \\",
        r"\hline",
        r"m\_1 & 50 \% $\pm$ 1 \\",
        r"b\&c & -- \\",
        r"\hline",
        r"\end{tabular}",
        "",
        "% a note",
    ]


def test_in_latex_a_difference_has_a_minus_and_a_name_its_hyphen():
    rows = [["hnet-r-2", "-0.25 (1e-3)"]]
    assert r"hnet-r-2 & $-$0.25 (1e-3) \\" in latex([TextTable("t", ["a", "b"], rows)], [])


def test_csv_keeps_every_digit_and_leaves_out_what_is_not_there():
    assert csv_text([{"a": 0.1 + 0.2, "b": None}, {"a": 1, "b": "x,y"}]) == (
        'a,b\n0.30000000000000004,\n1,"x,y"\n'
    )
