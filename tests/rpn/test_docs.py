"""The tables of ``docs/rpn.md``: every row has a test that exists, and ``w`` holds what is said."""

import inspect
import re
from pathlib import Path

import pytest

from lphm import rpn

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/rpn.md").read_text()

#: The tests that check a row, by its first cell.
TESTS = {
    "`lphm_parameterized_bilinear_interdependence`": [
        "test_values::test_forward_and_gradients_equal_kron",
        "test_tinybig::test_converted_weights_give_what_tinybig_gives",
    ],
    "`hm_parameterized_bilinear_interdependence`": [
        "test_values::test_forward_and_gradients_equal_kron",
        "test_tinybig::test_the_same_vector_means_another_W_unless_they_agree",
    ],
    "`dual_lphm_parameterized_bilinear_interdependence`": [
        "test_values::test_forward_and_gradients_equal_kron",
        "test_migration::test_where_the_two_differ_the_same_W_is_a_full_one",
    ],
    "`lowrank_parameterized_bilinear_interdependence`": [
        "test_migration::test_full_and_low_rank",
    ],
    "`random_matrix_adaption_parameterized_bilinear_interdependence`": [
        "test_errors::test_seed_of_random_matrix_adaptation",
        "test_tinybig::test_what_docs_rpn_md_says_of_tinybig",
    ],
    "`parameterized_bilinear_interdependence`": [
        "test_tinybig::test_functions_before_and_after_see_the_same",
    ],
    "`from_tinybig`": [
        "test_tinybig::test_converted_weights_give_what_tinybig_gives",
        "test_migration::test_arguments_of_another_sort",
    ],
    "`interdependence_type`": [
        "test_values::test_all_eight_words",
    ],
    "`interdependence_type` is unknown": [
        "test_errors::test_an_unknown_type_is_an_error_when_built_and_when_assigned",
    ],
    "`p`, `q` do not divide `n`": [
        "test_errors::test_indivisible_sizes",
        "test_values::test_a_size_that_the_type_needs_may_come_later",
    ],
    "`r`, `p`, `q` below 1": [
        "test_errors::test_sizes_below_one_in_every_class",
    ],
    "`b`, `m` = None, or not given": [
        "test_values::test_a_size_that_the_type_does_not_need_may_be_none",
        "test_values::test_a_size_that_the_type_needs_may_come_later",
        "test_errors::test_the_attribute_type_takes_any_number_of_columns",
    ],
    "`**kwargs`": [
        "test_errors::test_arguments_that_do_not_exist",
    ],
    "`calculate_l`": [
        "test_values::test_calculate_l",
        "test_tinybig::test_converted_weights_give_what_tinybig_gives",
    ],
    "`calculate_b_prime`, `calculate_m_prime`": [
        "test_values::test_b_prime_and_m_prime_keep_the_size",
    ],
    "`calculate_A`": [
        "test_values::test_calculate_A_equals_kron",
    ],
    "`forward`": [
        "test_values::test_forward_forms_neither_a_large_W_nor_a_large_xi",
    ],
    "`forward` with fewer rows": [
        "test_values::test_instance_type_takes_any_number_of_rows",
        "test_errors::test_wrong_x",
        "test_values::test_a_shorter_last_batch_meets_the_leading_part_of_W",
    ],
    "`partial`": [
        "test_values::test_a_shorter_last_batch_meets_the_leading_part_of_W",
        "test_config::test_config_round_trip_through_json",
        "test_errors::test_partial_takes_neither_more_rows_nor_none",
    ],
    "`x`, `w`": [
        "test_errors::test_wrong_x",
        "test_errors::test_wrong_w",
        "test_errors::test_missing_x_or_w_or_what_is_no_tensor",
    ],
    "`kappa_x`": [
        "test_errors::test_wrong_kappa_x",
    ],
    "`x`, `kappa_x` are sparse": [
        "test_errors::test_missing_x_or_w_or_what_is_no_tensor",
    ],
    "`preprocess_functions`": [
        "test_module::test_preprocess_functions_see_the_orientation_of_calculate_A",
        "test_tinybig::test_functions_before_and_after_see_the_same",
    ],
    "`postprocess_functions`": [
        "test_module::test_postprocess_may_change_the_columns_of_A",
        "test_tinybig::test_functions_before_and_after_see_the_same",
    ],
    "functions as strings": [
        "test_module::test_functions_by_name_in_a_list_and_in_order",
        "test_module::test_functions_that_are_none",
        "test_config::test_a_name_imports_nothing",
        "test_errors::test_functions_that_are_none_of_torchs",
    ],
    "`require_data=False, require_parameters=False`": [
        "test_module::test_a_constant_A_is_calculated_once",
        "test_module::test_a_constant_A_has_no_gradient_and_survives_two_backwards",
    ],
    "`A`, `get_A`": [
        "test_module::test_device_follows_to",
        "test_module::test_a_constant_A_is_calculated_once",
    ],
    "`check_A_shape_validity`": [
        "test_module::test_check_A_shape_validity",
    ],
    "`device`": [
        "test_module::test_computes_where_the_tensors_are_and_not_where_device_says",
    ],
    "`to`": [
        "test_module::test_device_follows_to",
        "test_head::test_a_head_that_moves_a_function_does_so_once",
    ],
    "`to_config`": [
        "test_config::test_config_round_trip_through_json",
        "test_config::test_a_function_without_an_importable_name_has_no_config",
    ],
    "`from_config`": [
        "test_config::test_config_round_trip_through_json",
        "test_config::test_a_name_leads_to_torchs_functions_of_tensors_alone",
        "test_config::test_equality_stays_identity",
    ],
    "`head`": [
        "test_tinybig::test_in_tinybigs_head",
        "test_tinybig::test_tinybigs_head_builds_them_from_their_configurations",
        "test_head::test_in_a_head_with_three_channels",
        "test_tinybig::test_a_converted_head_gives_what_it_gave",
    ],
    '`"softmax"`, `"log_softmax"`, `"softmin"` as such a function, or the function itself': [
        "test_errors::test_functions_that_need_dim_by_name_and_themselves",
        "test_tinybig::test_what_docs_rpn_md_says_of_tinybig",
    ],
}


def rows_below(heading: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_row_of_rpn_md_has_its_tests():
    rows = rows_below("What changes the numbers") + rows_below("What else differs")
    assert [row for row in rows if len(row) != 3] == []
    assert sorted(row[0] for row in rows) == sorted(TESTS)
    for row in rows:
        for name in TESTS[row[0]]:
            file, test = name.split("::")
            assert f"def {test}(" in (ROOT / f"tests/rpn/{file}.py").read_text(), name


PREFIXES = ["", "lowrank", "hm", "lphm", "dual_lphm", "random_matrix_adaption"]


def test_the_table_of_w_has_every_class():
    assert [row[0].strip("`") or "(no prefix)" for row in rows_below("What `w` holds")] == [
        prefix or "(no prefix)" for prefix in PREFIXES
    ]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_table_of_w_says_what_w_holds(prefix):
    rows = {row[0].strip("`"): row[1:] for row in rows_below("What `w` holds")}
    structure, arguments, factors, count = rows[prefix or "(no prefix)"]
    cls = getattr(rpn, f"{prefix}_parameterized_bilinear_interdependence".removeprefix("_"))
    sizes = {"n": 12, "p": 4, "q": 2, "r": 3}
    xi = cls(b=12, interdependence_type="attribute", **{key: sizes[key] for key in cls.sizes if key in sizes})
    assert type(xi.structure).__name__ == structure.strip("`")
    assert xi.calculate_l() == evaluated(count.strip("`"), sizes)
    shapes = {
        name: tuple(evaluated(each, sizes) for each in shape.split(" x "))
        for name, shape in re.findall(r"`(\S+)` `([^`]+)`", factors)
    }
    assert list(shapes.items()) == list(xi.structure.factor_shapes.items())
    named = dict(each.partition("=")[::2] for each in re.findall(r"`([^`]+)`", arguments))
    assert tuple(named) == cls.sizes
    for name, default in named.items():
        expected = inspect.signature(cls).parameters[name].default
        if default == "p":
            assert cls(**{"p": 3, "m": 12, **({"r": 1} if "r" in named else {})}).q == 3
        else:
            assert default == ("" if expected is inspect.Parameter.empty else str(expected))


def evaluated(formula: str, sizes: dict[str, int]) -> int:
    """A formula of the table, with implied products written out."""
    formula = formula.replace("²", "**2")
    formula = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", formula)
    value = eval(formula, {}, sizes)
    assert value == int(value)
    return int(value)
