package org.apache.iceberg.rest;

/** The kit's view tests, with a class name that matches the include pattern of Surefire. */
public class FirnViewCatalogTest extends RESTCompatibilityKitViewCatalogTests {}
