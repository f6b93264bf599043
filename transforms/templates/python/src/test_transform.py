from unittest import TestCase

from rowmill.testing import row, run

from transform import category_path, product


class ProductTest(TestCase):
    def test_a_category_has_parents(self) -> None:
        self.assertEqual(category_path("Home/Kitchen/Pans"), ["Home", "Home/Kitchen", "Home/Kitchen/Pans"])

    def test_the_currency_is_a_setting(self) -> None:
        [output] = run(product, [row("public.products", {"id": 1, "price": "3.00"})], {"currency": "CHF"})
        self.assertEqual(output["body"]["price"]["currency"], "CHF")
