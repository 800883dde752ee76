--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: record_event(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.record_event() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO outbox (at_ms, audit_id) VALUES (NEW.at_ms, NEW.audit_id);
    RETURN NULL;
END $$;


--
-- Name: record_moved_pointer(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.record_moved_pointer() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE pointer_history SET valid_to_ms = NEW.updated_ms
    WHERE tabular_id = NEW.tabular_id AND valid_to_ms = 9223372036854775807;
    INSERT INTO pointer_history (tabular_id, metadata_location, table_uuid, location, superseded, valid_from_ms, valid_to_ms)
    VALUES (NEW.tabular_id, NEW.metadata_location, NEW.table_uuid, NEW.location, NEW.superseded, NEW.updated_ms,
            9223372036854775807);
    RETURN NULL;
END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: _sqlx_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);


--
-- Name: audit; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit (
    audit_id uuid NOT NULL,
    at_ms bigint NOT NULL,
    request_id text NOT NULL,
    caller text NOT NULL,
    action text NOT NULL,
    object_kind text NOT NULL,
    object_name text NOT NULL,
    object_id uuid,
    outcome text NOT NULL,
    detail text NOT NULL
);


--
-- Name: cleanup_tasks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.cleanup_tasks (
    task_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    payload text NOT NULL,
    progress text,
    created_ms bigint NOT NULL,
    due_ms bigint NOT NULL,
    attempts bigint NOT NULL,
    leased_by text,
    last_error text
);


--
-- Name: clock_corrections; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.clock_corrections (
    correction_id bigint NOT NULL,
    clock_ms bigint NOT NULL,
    at_ms bigint NOT NULL,
    until_ms bigint NOT NULL
);


--
-- Name: clock_corrections_correction_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.clock_corrections ALTER COLUMN correction_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.clock_corrections_correction_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: clock_marks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.clock_marks (
    mark_id bigint NOT NULL,
    at_ms bigint NOT NULL,
    CONSTRAINT clock_marks_mark_id_check CHECK ((mark_id = 1))
);


--
-- Name: idempotency; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.idempotency (
    caller text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    fingerprint text NOT NULL,
    status bigint NOT NULL,
    body text,
    metadata_location text,
    created_ms bigint NOT NULL
);


--
-- Name: locations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.locations (
    warehouse_id uuid NOT NULL,
    prefix text NOT NULL COLLATE pg_catalog."C",
    owner_id uuid NOT NULL,
    CONSTRAINT locations_prefix_check CHECK ((prefix ~~ '%/'::text))
);


--
-- Name: maintenance_cursors; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.maintenance_cursors (
    name text NOT NULL,
    at_ms bigint NOT NULL,
    id uuid NOT NULL
);


--
-- Name: maintenance_jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.maintenance_jobs (
    job_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    tabular_id uuid NOT NULL,
    table_name text NOT NULL,
    action text NOT NULL,
    state text NOT NULL,
    options text NOT NULL,
    reason text NOT NULL,
    requested_by text NOT NULL,
    rank bigint NOT NULL,
    attempt bigint NOT NULL,
    worker text,
    cancel_wanted boolean NOT NULL,
    progress text,
    result text,
    error text,
    created_ms bigint NOT NULL,
    due_ms bigint NOT NULL,
    lease_until_ms bigint,
    started_ms bigint,
    finished_ms bigint,
    changed_ms bigint,
    CONSTRAINT maintenance_jobs_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text])))
);


--
-- Name: maintenance_outputs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.maintenance_outputs (
    job_id uuid NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    attempt bigint NOT NULL
);


--
-- Name: maintenance_pauses; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.maintenance_pauses (
    tabular_id uuid NOT NULL,
    reason text NOT NULL,
    since_ms bigint NOT NULL,
    paused_by text NOT NULL
);


--
-- Name: maintenance_policies; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.maintenance_policies (
    scope_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    kind text NOT NULL,
    document text NOT NULL,
    version bigint NOT NULL,
    updated_ms bigint NOT NULL,
    updated_by text NOT NULL,
    CONSTRAINT maintenance_policies_kind_check CHECK ((kind = ANY (ARRAY['warehouse'::text, 'namespace'::text, 'table'::text])))
);


--
-- Name: namespace_history; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.namespace_history (
    history_id bigint NOT NULL,
    namespace_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    parent_path text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C",
    properties text NOT NULL,
    created_ms bigint NOT NULL,
    valid_from_ms bigint NOT NULL,
    valid_to_ms bigint NOT NULL,
    CONSTRAINT namespace_history_check CHECK ((valid_from_ms <= valid_to_ms))
);


--
-- Name: namespace_history_history_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.namespace_history ALTER COLUMN history_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.namespace_history_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: namespaces; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.namespaces (
    namespace_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    parent_path text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C",
    properties text NOT NULL,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    CONSTRAINT namespaces_path_check CHECK ((path <> ''::text))
);


--
-- Name: outbox; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.outbox (
    at_ms bigint NOT NULL,
    audit_id uuid NOT NULL
);


--
-- Name: plans; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.plans (
    plan_id uuid NOT NULL,
    tabular_id uuid NOT NULL,
    caller text NOT NULL,
    metadata_location text NOT NULL,
    request text NOT NULL,
    outcome text NOT NULL,
    answer text,
    created_ms bigint NOT NULL,
    CONSTRAINT plans_outcome_check CHECK ((outcome = ANY (ARRAY['submitted'::text, 'completed'::text, 'cancelled'::text])))
);


--
-- Name: pointer_history; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.pointer_history (
    history_id bigint NOT NULL,
    tabular_id uuid NOT NULL,
    metadata_location text NOT NULL COLLATE pg_catalog."C",
    table_uuid uuid NOT NULL,
    location text NOT NULL COLLATE pg_catalog."C",
    valid_from_ms bigint NOT NULL,
    valid_to_ms bigint NOT NULL,
    superseded text,
    CONSTRAINT pointer_history_check CHECK ((valid_from_ms <= valid_to_ms))
);


--
-- Name: pointer_history_history_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.pointer_history ALTER COLUMN history_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.pointer_history_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: reports; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reports (
    report_id uuid NOT NULL,
    tabular_id uuid NOT NULL,
    received_ms bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    snapshot_id bigint,
    body text NOT NULL,
    CONSTRAINT reports_kind_check CHECK ((kind = ANY (ARRAY['scan'::text, 'commit'::text])))
);


--
-- Name: signing_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.signing_keys (
    name text NOT NULL,
    secret bytea NOT NULL,
    created_ms bigint NOT NULL
);


--
-- Name: tabular_history; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tabular_history (
    history_id bigint NOT NULL,
    tabular_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    namespace_id uuid NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    created_ms bigint NOT NULL,
    valid_from_ms bigint NOT NULL,
    valid_to_ms bigint NOT NULL,
    CONSTRAINT tabular_history_check CHECK ((valid_from_ms <= valid_to_ms))
);


--
-- Name: tabular_history_history_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.tabular_history ALTER COLUMN history_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.tabular_history_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: tabulars; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tabulars (
    tabular_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    namespace_id uuid NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    metadata_location text NOT NULL COLLATE pg_catalog."C",
    table_uuid uuid NOT NULL,
    location text NOT NULL COLLATE pg_catalog."C",
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    superseded text,
    CONSTRAINT tabulars_kind_check CHECK ((kind = ANY (ARRAY['table'::text, 'view'::text]))),
    CONSTRAINT tabulars_name_check CHECK ((name <> ''::text))
)
WITH (fillfactor='70');


--
-- Name: warehouses; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.warehouses (
    warehouse_id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    location text NOT NULL COLLATE pg_catalog."C",
    properties text NOT NULL,
    created_ms bigint NOT NULL
);


--
-- Data for Name: _sqlx_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public._sqlx_migrations VALUES (1, 'catalog', '2026-11-30 21:56:13.099826+00', true, '\x33d87c275a227894ae986c42780a5c21c9be8b056ad991574caee28ea13a13fb3fef5e1fc5b946993248158bd6265607', 32737139);
INSERT INTO public._sqlx_migrations VALUES (2, 'planning', '2026-11-30 21:56:13.133451+00', true, '\x64d90ec3cf45adf58f0ea95299395dfd89993cd3e1229854ca04138a07d7b55641e1e1020302aaf2acd3dd401cd1e93d', 7025650);
INSERT INTO public._sqlx_migrations VALUES (3, 'maintenance', '2026-11-30 21:56:13.140679+00', true, '\x5db0678b6b50a90243d0d8baf8968737fbeb305aaf8c5bc71650a48dddd457af73c4e8f2e58a3991c6fbbc8b719fc98d', 11592072);
INSERT INTO public._sqlx_migrations VALUES (4, 'watch', '2026-11-30 21:56:13.152771+00', true, '\xe79f04cd16071e5c50dd0447b51b6d4ed508ac318c0c99cc369fa1325dbebbbf43b79c39add75e95b719427640ae419c', 1575135);
INSERT INTO public._sqlx_migrations VALUES (5, 'clock', '2026-11-30 21:56:13.154483+00', true, '\x1ed9d27a4e25df21bdd9d52932c01924775e9577e9004c4da44b0128654a43279fa53f02c65889b4e56b97c8cb590fef', 1414005);
INSERT INTO public._sqlx_migrations VALUES (6, 'superseded', '2026-11-30 21:56:13.156034+00', true, '\xeefe425ae702ffb1bd12e9e4c4bddbd9796ab8df95358dd727a01a88876e8cad638167749b5e2304f1560deff93bdbad', 447179);


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit VALUES ('01a22e75-5cff-7325-ae73-bcbc90cd6527', 1796075773181, '01a22e75-5cfd-744b-8ab1-2dcd1f94b7ff', 'local-administrator', 'create-namespace', 'namespace', 'main/sales', '01a22e75-5cfe-7585-960c-ccd6026037cb', 'done', '{"properties":{"owner":"a"}}');
INSERT INTO public.audit VALUES ('01a22e75-5d0a-75c5-8171-74fd0b474ff6', 1796075773193, '01a22e75-5d04-777d-9791-d1afd96f0e04', 'local-administrator', 'create-namespace', 'namespace', 'main/sales.eu', '01a22e75-5d09-72d5-badb-9aa5324cbfad', 'done', '{"properties":{}}');
INSERT INTO public.audit VALUES ('01a22e75-5d16-7668-9ed1-87eb5525224b', 1796075773203, '01a22e75-5d0c-732a-a7b0-1db1c80d5051', 'local-administrator', 'create-table', 'table', 'main/sales.orders', '01a22e75-5d12-764f-967c-5dfafdf64902', 'done', '{"metadata-location":"file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc/metadata/00000-1606b666-a5c7-42b2-9072-a0c5403c31ce.metadata.json"}');
INSERT INTO public.audit VALUES ('01a22e75-5d20-7730-b0f2-2f2fd88b49dd', 1796075773214, '01a22e75-5d19-735c-bf13-2f4826b87e7d', 'local-administrator', 'create-table', 'table', 'main/sales.gone', '01a22e75-5d1d-765a-af2c-897e16997626', 'done', '{"metadata-location":"file://{root}/warehouse/sales/gone-b881193ecd2b4f96b548aacbdbba46cf/metadata/00000-43ed2529-3159-465a-b583-081c6222e09e.metadata.json"}');
INSERT INTO public.audit VALUES ('01a22e75-5d24-7578-990f-6f4100d298d8', 1796075773221, '01a22e75-5d22-7112-a2aa-5eb72fdf44ec', 'local-administrator', 'commit-table', 'table', 'main/sales.orders', '01a22e75-5d12-764f-967c-5dfafdf64902', 'done', '{"metadata-location":"file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc/metadata/00001-03b2079e-7097-4bf2-b056-cc27eaf3be7a.metadata.json","previous":"file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc/metadata/00000-1606b666-a5c7-42b2-9072-a0c5403c31ce.metadata.json","snapshot-id":null}');
INSERT INTO public.audit VALUES ('01a22e75-5d31-75d3-a367-c2cf267e7acd', 1796075773231, '01a22e75-5d2d-71c7-adf9-a9569f98ccb8', 'local-administrator', 'create-view', 'view', 'main/sales.v', '01a22e75-5d2f-7721-bbad-2a81bec6ca8c', 'done', '{"metadata-location":"file://{root}/warehouse/sales/v-05db6bec022646e788435add32e82191/metadata/00000-386181d7-ccda-465f-8558-c99c89aec90a.metadata.json"}');
INSERT INTO public.audit VALUES ('01a22e75-5d34-71e0-8283-3ad780d9266c', 1796075773235, '01a22e75-5d33-73b7-8512-beb17cb8a4bc', 'local-administrator', 'drop-table', 'table', 'main/sales.gone', '01a22e75-5d1d-765a-af2c-897e16997626', 'done', '{"metadata-location":"file://{root}/warehouse/sales/gone-b881193ecd2b4f96b548aacbdbba46cf/metadata/00000-43ed2529-3159-465a-b583-081c6222e09e.metadata.json"}');
INSERT INTO public.audit VALUES ('01a22e75-5d39-7171-b462-502d1f7bf691', 1796075773241, '01a22e75-5d38-76db-b628-3d9ca7145746', 'local-administrator', 'put-policy', 'table', 'main/sales.orders', '01a22e75-5d12-764f-967c-5dfafdf64902', 'done', '{"policy":{"compact":{"enabled":true,"inputs-min":7}},"version":1}');
INSERT INTO public.audit VALUES ('01a22e75-5e06-7118-bc70-348c08819fdc', 1796075773445, '01a22e75-5e03-76b7-aa6c-0cc20c29fc71', 'local-administrator', 'queue-job', 'table', 'main/sales.orders', '01a22e75-5d12-764f-967c-5dfafdf64902', 'done', '{"job-id":"01a22e75-5e05-7578-ad41-8d2028af0617","action":"evaluate"}');
INSERT INTO public.audit VALUES ('01a22e75-5e0e-7704-be74-725a0845344f', 1796075773453, '01a22e75-5e0d-76bf-b54e-4c3569fb4572', 'local-administrator', 'cancel-job', 'table', 'main/sales.orders', '01a22e75-5d12-764f-967c-5dfafdf64902', 'done', '{"job-id":"01a22e75-5e05-7578-ad41-8d2028af0617","action":"evaluate"}');
INSERT INTO public.audit VALUES ('01a22e75-5e10-7742-a263-7337d0776b8e', 1796075773456, '01a22e75-5e0f-7668-9229-0b6f3df8479c', 'local-administrator', 'queue-job', 'table', 'main/sales.orders', '01a22e75-5d12-764f-967c-5dfafdf64902', 'done', '{"job-id":"01a22e75-5e10-7742-a263-733626867fbc","action":"compact"}');


--
-- Data for Name: cleanup_tasks; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.cleanup_tasks VALUES ('01a22e75-5d38-76db-b628-3d9c00000001', '01a22e75-5ceb-7066-830c-b0b04a10a623', 'purge', '{"table":"sales.purged","prefixes":["file://{root}/warehouse/sales/purged-5f0c3a8e1b7d4c6f9e2a4b8d7c1e0f35/"]}', NULL, 1796075773240, 1796075773240, 0, NULL, NULL);
INSERT INTO public.cleanup_tasks VALUES ('01a22e75-5d38-76db-b628-3d9c00000002', '01a22e75-5ceb-7066-830c-b0b04a10a623', 'purge', '{"table":"sales.interrupted","prefixes":["file://{root}/warehouse/sales/interrupted-7d1e4b9a2c8f4e06b35d9a1c6e0f7284/"]}', NULL, 1796075773240, 4102444800000, 1, 'server-1b9d3a52-0c47-4b0e-9a3f-5d2c8e7f6a10', NULL);



--
-- Data for Name: clock_corrections; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: clock_marks; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: idempotency; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.idempotency VALUES ('local-administrator', '0192aaaa-0000-7000-8000-000000000001', 'a1ba0bc76099449669508c5c195a8364e2ce65656f5cb8d21d1db6fc56b66ee6', 200, NULL, 'file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc/metadata/00001-03b2079e-7097-4bf2-b056-cc27eaf3be7a.metadata.json', 1796075773221);


--
-- Data for Name: locations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.locations VALUES ('01a22e75-5ceb-7066-830c-b0b04a10a623', 'file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc/', '01a22e75-5d12-764f-967c-5dfafdf64902');
INSERT INTO public.locations VALUES ('01a22e75-5ceb-7066-830c-b0b04a10a623', 'file://{root}/warehouse/sales/v-05db6bec022646e788435add32e82191/', '01a22e75-5d2f-7721-bbad-2a81bec6ca8c');
INSERT INTO public.locations VALUES ('01a22e75-5ceb-7066-830c-b0b04a10a623', 'file://{root}/warehouse/sales/purged-5f0c3a8e1b7d4c6f9e2a4b8d7c1e0f35/', '01a22e75-5d38-76db-b628-3d9c00000001');
INSERT INTO public.locations VALUES ('01a22e75-5ceb-7066-830c-b0b04a10a623', 'file://{root}/warehouse/sales/interrupted-7d1e4b9a2c8f4e06b35d9a1c6e0f7284/', '01a22e75-5d38-76db-b628-3d9c00000002');


--
-- Data for Name: maintenance_cursors; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.maintenance_cursors VALUES ('changes', 1796075773167, '00000000-0000-0000-0000-000000000000');


--
-- Data for Name: maintenance_jobs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.maintenance_jobs VALUES ('01a22e75-5e05-7578-ad41-8d2028af0617', '01a22e75-5ceb-7066-830c-b0b04a10a623', '01a22e75-5d12-764f-967c-5dfafdf64902', 'main/sales.orders', 'evaluate', 'running', '{"compact":{"enabled":true,"small-ratio":0.75,"large-ratio":1.8,"delete-ratio":0.3,"inputs-min":7,"group-bytes-max":107374182400,"equality-deletes-min":10,"settle-minutes":0,"sort":true},"expire-snapshots":{"enabled":true,"snapshot-age-max-ms":432000000,"snapshots-min":1,"inherited":false},"rewrite-manifests":{"enabled":true,"target-bytes":8388608,"manifests-min":100},"metadata-log":{"enabled":true,"previous-versions-max":100},"write-audit-publish":{"wait-max-ms":86400000}}', 'asked for', 'local-administrator', 9223372036854775807, 1, 'w', true, NULL, NULL, NULL, 1796075773445, 0, 1796075833449, 1796075773449, NULL, NULL);
INSERT INTO public.maintenance_jobs VALUES ('01a22e75-5e10-7742-a263-733626867fbc', '01a22e75-5ceb-7066-830c-b0b04a10a623', '01a22e75-5d12-764f-967c-5dfafdf64902', 'main/sales.orders', 'compact', 'queued', '{"compact":{"enabled":true,"small-ratio":0.75,"large-ratio":1.8,"delete-ratio":0.3,"inputs-min":7,"group-bytes-max":107374182400,"equality-deletes-min":10,"settle-minutes":0,"sort":true},"expire-snapshots":{"enabled":true,"snapshot-age-max-ms":432000000,"snapshots-min":1,"inherited":false},"rewrite-manifests":{"enabled":true,"target-bytes":8388608,"manifests-min":100},"metadata-log":{"enabled":true,"previous-versions-max":100},"write-audit-publish":{"wait-max-ms":86400000}}', 'asked for', 'local-administrator', 9223372036854775807, 0, NULL, false, NULL, NULL, NULL, 1796075773456, 0, NULL, NULL, NULL, NULL);


--
-- Data for Name: maintenance_outputs; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: maintenance_pauses; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: maintenance_policies; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.maintenance_policies VALUES ('01a22e75-5d12-764f-967c-5dfafdf64902', '01a22e75-5ceb-7066-830c-b0b04a10a623', 'table', '{"compact":{"enabled":true,"inputs-min":7}}', 1, 1796075773241, 'local-administrator');


--
-- Data for Name: namespace_history; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.namespace_history OVERRIDING SYSTEM VALUE VALUES (1, '01a22e75-5cfe-7585-960c-ccd6026037cb', '01a22e75-5ceb-7066-830c-b0b04a10a623', '', 'sales', '{"owner":"a"}', 1796075773181, 1796075773181, 9223372036854775807);
INSERT INTO public.namespace_history OVERRIDING SYSTEM VALUE VALUES (2, '01a22e75-5d09-72d5-badb-9aa5324cbfad', '01a22e75-5ceb-7066-830c-b0b04a10a623', 'sales', 'saleseu', '{}', 1796075773193, 1796075773193, 9223372036854775807);


--
-- Data for Name: namespaces; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.namespaces VALUES ('01a22e75-5cfe-7585-960c-ccd6026037cb', '01a22e75-5ceb-7066-830c-b0b04a10a623', '', 'sales', '{"owner":"a"}', 1796075773181, 1796075773181);
INSERT INTO public.namespaces VALUES ('01a22e75-5d09-72d5-badb-9aa5324cbfad', '01a22e75-5ceb-7066-830c-b0b04a10a623', 'sales', 'saleseu', '{}', 1796075773193, 1796075773193);


--
-- Data for Name: outbox; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.outbox VALUES (1796075773181, '01a22e75-5cff-7325-ae73-bcbc90cd6527');
INSERT INTO public.outbox VALUES (1796075773193, '01a22e75-5d0a-75c5-8171-74fd0b474ff6');
INSERT INTO public.outbox VALUES (1796075773203, '01a22e75-5d16-7668-9ed1-87eb5525224b');
INSERT INTO public.outbox VALUES (1796075773214, '01a22e75-5d20-7730-b0f2-2f2fd88b49dd');
INSERT INTO public.outbox VALUES (1796075773221, '01a22e75-5d24-7578-990f-6f4100d298d8');
INSERT INTO public.outbox VALUES (1796075773231, '01a22e75-5d31-75d3-a367-c2cf267e7acd');
INSERT INTO public.outbox VALUES (1796075773235, '01a22e75-5d34-71e0-8283-3ad780d9266c');
INSERT INTO public.outbox VALUES (1796075773241, '01a22e75-5d39-7171-b462-502d1f7bf691');
INSERT INTO public.outbox VALUES (1796075773445, '01a22e75-5e06-7118-bc70-348c08819fdc');
INSERT INTO public.outbox VALUES (1796075773453, '01a22e75-5e0e-7704-be74-725a0845344f');
INSERT INTO public.outbox VALUES (1796075773456, '01a22e75-5e10-7742-a263-7337d0776b8e');


--
-- Data for Name: plans; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: pointer_history; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.pointer_history OVERRIDING SYSTEM VALUE VALUES (1, '01a22e75-5d12-764f-967c-5dfafdf64902', 'file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc/metadata/00000-1606b666-a5c7-42b2-9072-a0c5403c31ce.metadata.json', '9526460f-5026-4ed3-b31a-afdaf812d47d', 'file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc', 1796075773203, 1796075773221, '{}');
INSERT INTO public.pointer_history OVERRIDING SYSTEM VALUE VALUES (3, '01a22e75-5d12-764f-967c-5dfafdf64902', 'file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc/metadata/00001-03b2079e-7097-4bf2-b056-cc27eaf3be7a.metadata.json', '9526460f-5026-4ed3-b31a-afdaf812d47d', 'file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc', 1796075773221, 9223372036854775807, '{}');
INSERT INTO public.pointer_history OVERRIDING SYSTEM VALUE VALUES (4, '01a22e75-5d2f-7721-bbad-2a81bec6ca8c', 'file://{root}/warehouse/sales/v-05db6bec022646e788435add32e82191/metadata/00000-386181d7-ccda-465f-8558-c99c89aec90a.metadata.json', '54fb9a76-6b12-44d8-8e5f-bce8d04fc9d4', 'file://{root}/warehouse/sales/v-05db6bec022646e788435add32e82191', 1796075773231, 9223372036854775807, NULL);
INSERT INTO public.pointer_history OVERRIDING SYSTEM VALUE VALUES (2, '01a22e75-5d1d-765a-af2c-897e16997626', 'file://{root}/warehouse/sales/gone-b881193ecd2b4f96b548aacbdbba46cf/metadata/00000-43ed2529-3159-465a-b583-081c6222e09e.metadata.json', '77ccf3cb-392e-4411-9f4b-cf8f5e4ca4b8', 'file://{root}/warehouse/sales/gone-b881193ecd2b4f96b548aacbdbba46cf', 1796075773214, 1796075773235, '{}');


--
-- Data for Name: reports; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: signing_keys; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: tabular_history; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tabular_history OVERRIDING SYSTEM VALUE VALUES (1, '01a22e75-5d12-764f-967c-5dfafdf64902', '01a22e75-5ceb-7066-830c-b0b04a10a623', '01a22e75-5cfe-7585-960c-ccd6026037cb', 'table', 'orders', 1796075773203, 1796075773203, 9223372036854775807);
INSERT INTO public.tabular_history OVERRIDING SYSTEM VALUE VALUES (3, '01a22e75-5d2f-7721-bbad-2a81bec6ca8c', '01a22e75-5ceb-7066-830c-b0b04a10a623', '01a22e75-5cfe-7585-960c-ccd6026037cb', 'view', 'v', 1796075773231, 1796075773231, 9223372036854775807);
INSERT INTO public.tabular_history OVERRIDING SYSTEM VALUE VALUES (2, '01a22e75-5d1d-765a-af2c-897e16997626', '01a22e75-5ceb-7066-830c-b0b04a10a623', '01a22e75-5cfe-7585-960c-ccd6026037cb', 'table', 'gone', 1796075773214, 1796075773214, 1796075773235);


--
-- Data for Name: tabulars; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tabulars VALUES ('01a22e75-5d12-764f-967c-5dfafdf64902', '01a22e75-5ceb-7066-830c-b0b04a10a623', '01a22e75-5cfe-7585-960c-ccd6026037cb', 'table', 'orders', 'file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc/metadata/00001-03b2079e-7097-4bf2-b056-cc27eaf3be7a.metadata.json', '9526460f-5026-4ed3-b31a-afdaf812d47d', 'file://{root}/warehouse/sales/orders-c806a382d2994106891f0f475a60fdcc', 1796075773203, 1796075773221, '{}');
INSERT INTO public.tabulars VALUES ('01a22e75-5d2f-7721-bbad-2a81bec6ca8c', '01a22e75-5ceb-7066-830c-b0b04a10a623', '01a22e75-5cfe-7585-960c-ccd6026037cb', 'view', 'v', 'file://{root}/warehouse/sales/v-05db6bec022646e788435add32e82191/metadata/00000-386181d7-ccda-465f-8558-c99c89aec90a.metadata.json', '54fb9a76-6b12-44d8-8e5f-bce8d04fc9d4', 'file://{root}/warehouse/sales/v-05db6bec022646e788435add32e82191', 1796075773231, 1796075773231, NULL);


--
-- Data for Name: warehouses; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.warehouses VALUES ('01a22e75-5ceb-7066-830c-b0b04a10a623', 'main', 'file://{root}/warehouse', '{}', 1796075773163);


--
-- Name: clock_corrections_correction_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.clock_corrections_correction_id_seq', 1, false);


--
-- Name: namespace_history_history_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.namespace_history_history_id_seq', 2, true);


--
-- Name: pointer_history_history_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.pointer_history_history_id_seq', 4, true);


--
-- Name: tabular_history_history_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.tabular_history_history_id_seq', 3, true);


--
-- Name: _sqlx_migrations _sqlx_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);


--
-- Name: audit audit_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (at_ms, audit_id);


--
-- Name: cleanup_tasks cleanup_tasks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cleanup_tasks
    ADD CONSTRAINT cleanup_tasks_pkey PRIMARY KEY (task_id);


--
-- Name: clock_corrections clock_corrections_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.clock_corrections
    ADD CONSTRAINT clock_corrections_pkey PRIMARY KEY (correction_id);


--
-- Name: clock_marks clock_marks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.clock_marks
    ADD CONSTRAINT clock_marks_pkey PRIMARY KEY (mark_id);


--
-- Name: idempotency idempotency_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (caller, key);


--
-- Name: locations locations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.locations
    ADD CONSTRAINT locations_pkey PRIMARY KEY (warehouse_id, prefix);


--
-- Name: maintenance_cursors maintenance_cursors_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.maintenance_cursors
    ADD CONSTRAINT maintenance_cursors_pkey PRIMARY KEY (name);


--
-- Name: maintenance_jobs maintenance_jobs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.maintenance_jobs
    ADD CONSTRAINT maintenance_jobs_pkey PRIMARY KEY (job_id);


--
-- Name: maintenance_outputs maintenance_outputs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.maintenance_outputs
    ADD CONSTRAINT maintenance_outputs_pkey PRIMARY KEY (job_id, path);


--
-- Name: maintenance_pauses maintenance_pauses_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.maintenance_pauses
    ADD CONSTRAINT maintenance_pauses_pkey PRIMARY KEY (tabular_id);


--
-- Name: maintenance_policies maintenance_policies_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.maintenance_policies
    ADD CONSTRAINT maintenance_policies_pkey PRIMARY KEY (scope_id);


--
-- Name: namespace_history namespace_history_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.namespace_history
    ADD CONSTRAINT namespace_history_pkey PRIMARY KEY (history_id);


--
-- Name: namespaces namespaces_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_pkey PRIMARY KEY (namespace_id);


--
-- Name: namespaces namespaces_warehouse_id_path_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_warehouse_id_path_key UNIQUE (warehouse_id, path);


--
-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (at_ms, audit_id);


--
-- Name: plans plans_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (plan_id);


--
-- Name: pointer_history pointer_history_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pointer_history
    ADD CONSTRAINT pointer_history_pkey PRIMARY KEY (history_id);


--
-- Name: reports reports_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (report_id);


--
-- Name: signing_keys signing_keys_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (name);


--
-- Name: tabular_history tabular_history_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tabular_history
    ADD CONSTRAINT tabular_history_pkey PRIMARY KEY (history_id);


--
-- Name: tabulars tabulars_namespace_id_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tabulars
    ADD CONSTRAINT tabulars_namespace_id_name_key UNIQUE (namespace_id, name);


--
-- Name: tabulars tabulars_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tabulars
    ADD CONSTRAINT tabulars_pkey PRIMARY KEY (tabular_id);


--
-- Name: warehouses warehouses_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.warehouses
    ADD CONSTRAINT warehouses_name_key UNIQUE (name);


--
-- Name: warehouses warehouses_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.warehouses
    ADD CONSTRAINT warehouses_pkey PRIMARY KEY (warehouse_id);


--
-- Name: audit_by_object; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX audit_by_object ON public.audit USING btree (object_id, at_ms, audit_id);


--
-- Name: cleanup_tasks_by_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX cleanup_tasks_by_due ON public.cleanup_tasks USING btree (due_ms, task_id);


--
-- Name: idempotency_by_time; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_by_time ON public.idempotency USING btree (created_ms);


--
-- Name: locations_by_owner; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX locations_by_owner ON public.locations USING btree (owner_id);


--
-- Name: maintenance_jobs_by_action; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX maintenance_jobs_by_action ON public.maintenance_jobs USING btree (tabular_id, action, job_id);


--
-- Name: maintenance_jobs_by_lease; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX maintenance_jobs_by_lease ON public.maintenance_jobs USING btree (lease_until_ms) WHERE (state = 'running'::text);


--
-- Name: maintenance_jobs_by_rank; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX maintenance_jobs_by_rank ON public.maintenance_jobs USING btree (rank DESC, job_id) WHERE (state = 'queued'::text);


--
-- Name: maintenance_jobs_by_table; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX maintenance_jobs_by_table ON public.maintenance_jobs USING btree (tabular_id, job_id);


--
-- Name: maintenance_jobs_one_committer; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX maintenance_jobs_one_committer ON public.maintenance_jobs USING btree (tabular_id) WHERE (state = 'running'::text);


--
-- Name: maintenance_jobs_open; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX maintenance_jobs_open ON public.maintenance_jobs USING btree (tabular_id, action) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));


--
-- Name: namespace_history_by_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX namespace_history_by_id ON public.namespace_history USING btree (namespace_id, valid_to_ms, valid_from_ms);


--
-- Name: namespace_history_by_parent; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX namespace_history_by_parent ON public.namespace_history USING btree (warehouse_id, parent_path, path, valid_to_ms);


--
-- Name: namespace_history_by_path; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX namespace_history_by_path ON public.namespace_history USING btree (warehouse_id, path, valid_to_ms);


--
-- Name: namespaces_by_parent; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX namespaces_by_parent ON public.namespaces USING btree (warehouse_id, parent_path, path);


--
-- Name: plans_by_time; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX plans_by_time ON public.plans USING btree (created_ms);


--
-- Name: pointer_history_by_instant; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX pointer_history_by_instant ON public.pointer_history USING btree (tabular_id, valid_to_ms, valid_from_ms);


--
-- Name: pointer_history_by_order; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX pointer_history_by_order ON public.pointer_history USING btree (tabular_id, history_id);


--
-- Name: reports_by_tabular; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX reports_by_tabular ON public.reports USING btree (tabular_id, report_id);


--
-- Name: tabular_history_by_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tabular_history_by_id ON public.tabular_history USING btree (tabular_id, valid_to_ms, valid_from_ms);


--
-- Name: tabular_history_by_kind; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tabular_history_by_kind ON public.tabular_history USING btree (namespace_id, kind, name, valid_to_ms);


--
-- Name: tabular_history_by_name; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tabular_history_by_name ON public.tabular_history USING btree (namespace_id, name, valid_to_ms);


--
-- Name: tabulars_by_kind; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tabulars_by_kind ON public.tabulars USING btree (namespace_id, kind, name);


--
-- Name: audit audit_changes_are_told; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_changes_are_told AFTER INSERT ON public.audit FOR EACH ROW WHEN ((new.outcome = 'done'::text)) EXECUTE FUNCTION public.record_event();


--
-- Name: tabulars tabulars_pointer_moved; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tabulars_pointer_moved AFTER UPDATE OF metadata_location ON public.tabulars FOR EACH ROW EXECUTE FUNCTION public.record_moved_pointer();


--
-- Name: cleanup_tasks cleanup_tasks_warehouse_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cleanup_tasks
    ADD CONSTRAINT cleanup_tasks_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES public.warehouses(warehouse_id);


--
-- Name: locations locations_warehouse_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.locations
    ADD CONSTRAINT locations_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES public.warehouses(warehouse_id);


--
-- Name: maintenance_jobs maintenance_jobs_warehouse_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.maintenance_jobs
    ADD CONSTRAINT maintenance_jobs_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES public.warehouses(warehouse_id);


--
-- Name: maintenance_outputs maintenance_outputs_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.maintenance_outputs
    ADD CONSTRAINT maintenance_outputs_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.maintenance_jobs(job_id) ON DELETE CASCADE;


--
-- Name: maintenance_policies maintenance_policies_warehouse_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.maintenance_policies
    ADD CONSTRAINT maintenance_policies_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES public.warehouses(warehouse_id);


--
-- Name: namespaces namespaces_warehouse_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES public.warehouses(warehouse_id);


--
-- Name: reports reports_tabular_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_tabular_id_fkey FOREIGN KEY (tabular_id) REFERENCES public.tabulars(tabular_id) ON DELETE CASCADE;


--
-- Name: tabulars tabulars_namespace_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tabulars
    ADD CONSTRAINT tabulars_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.namespaces(namespace_id);


--
-- Name: tabulars tabulars_warehouse_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tabulars
    ADD CONSTRAINT tabulars_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES public.warehouses(warehouse_id);


--
-- PostgreSQL database dump complete
--


