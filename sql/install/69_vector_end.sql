$lakehouse_vector$);
