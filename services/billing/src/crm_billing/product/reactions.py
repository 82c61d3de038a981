"""Products' events become the replica."""

from crm_billing.product.tables import PRODUCTS

REACTIONS = (PRODUCTS.reaction("billing.products"),)
