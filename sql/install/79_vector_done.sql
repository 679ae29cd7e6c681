/* Was only for these scripts. */
DROP FUNCTION lakehouse_vector_setup(text, text);
