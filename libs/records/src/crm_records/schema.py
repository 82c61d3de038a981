"""What this library needs in every service's database, as DDL: one frozen tuple per step; a migration runs the steps it lacks.

A released step is never edited: a change is a new step. A changed function needs its indexes rebuilt, in the same migration.
The record tables themselves are each service's own: `crm_records.tables.ddl(table)` writes the statements to copy.
"""

#: Folding of text for search and order, and its letters, pairs and triples of letters. Immutable, because indexes are built from them.
TEXT_1: tuple[str, ...] = (
    # Case, width (ＡＢＣ, ｱｲｳ) and the accents that people leave out when they type a name. Letters that are letters of their own
    # (й, ñ's neighbours aside) stay. Without it ё would sort behind я, and é behind z, in a server without ICU.
    """
    CREATE FUNCTION crm_fold(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN translate(
      lower(normalize(value, NFKC)),
      'ёàáâãäåçèéêëìíîïñòóôõöùúûüýÿ', 'еaaaaaaceeeeiiiinooooouuuuyy'
    )
    """,
    # The first 80 letters decide the order: a longer key would not fit into a cursor.
    """
    CREATE FUNCTION crm_sort_key(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN left(crm_fold(value), 80)
    """,
    # What an index holds of a folded text (stored): its letters, pairs and triples of letters. What a search looks up: its triples, or
    # the pair or letter that it is. Pairs find Korean and Chinese names; with pairs alone, a part of a telephone number took 148 ms
    # among a million, with triples 10 ms (docs/decisions/0007). PL/pgSQL, because it was the fastest of four ways tried.
    # Only functions of the server itself in it: while an index is built or analysed, no others are on the search path.
    """
    CREATE FUNCTION crm_pairs(folded text, stored boolean) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT COST 1000 AS $$
    DECLARE
      letters text[] := string_to_array(folded, NULL);
      count int := cardinality(letters);
      found text[] := CASE WHEN stored OR count = 1 THEN letters ELSE '{}' END;
    BEGIN
      IF stored OR count = 2 THEN
        FOR i IN 1 .. count - 1 LOOP
          found := found || (letters[i] || letters[i + 1]);
        END LOOP;
      END IF;
      IF stored OR count > 2 THEN
        FOR i IN 1 .. count - 2 LOOP
          found := found || (letters[i] || letters[i + 1] || letters[i + 2]);
        END LOOP;
      END IF;
      RETURN found;
    END $$
    """,
    # What the index holds of a text.
    """
    CREATE FUNCTION crm_grams(value text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 1000
    RETURN crm_pairs(crm_fold(value), true)
    """,
    # What a search for a text looks up.
    """
    CREATE FUNCTION crm_search_grams(value text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN crm_pairs(crm_fold(value), false)
    """,
    # The pattern for LIKE that finds a text as a part, whatever signs are in it.
    """
    CREATE FUNCTION crm_like(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN replace(replace(replace(crm_fold(value), '\\', '\\\\'), '%', '\\%'), '_', '\\_')
    """,
)
