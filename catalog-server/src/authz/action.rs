//! Actions: everything that a caller can be allowed to do. Their names appear in the audit trail and in metrics.

/// Declares the actions with their names, so that each is spelled in one place.
macro_rules! actions {
    ($($(#[$docs:meta])* $action:ident = $name:literal,)*) => {
        /// Action that a caller can be allowed to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$docs])* $action,)*
        }

        impl Action {
            /// All actions, in the order of their declaration.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$action),*];

            /// Returns the name, such as `load-table`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$action => $name,)*
                }
            }
        }
    };
}

actions! {
    /// Reading the configuration of a warehouse for a client.
    LoadConfig = "load-config",
    /// Addressing a warehouse, as the prefix of a path does.
    UseWarehouse = "use-warehouse",
    /// Listing the warehouses.
    ListWarehouses = "list-warehouses",
    /// Creating a warehouse.
    CreateWarehouse = "create-warehouse",
    /// Reading the settings of a warehouse.
    LoadWarehouse = "load-warehouse",
    /// Checking the storage of a warehouse.
    CheckWarehouse = "check-warehouse",
    /// Listing the namespaces of a warehouse or namespace.
    ListNamespaces = "list-namespaces",
    /// Creating a namespace.
    CreateNamespace = "create-namespace",
    /// Reading the properties of a namespace, or whether it exists.
    LoadNamespace = "load-namespace",
    /// Changing the properties of a namespace.
    UpdateNamespace = "update-namespace",
    /// Dropping a namespace.
    DropNamespace = "drop-namespace",
    /// Listing the tables of a namespace.
    ListTables = "list-tables",
    /// Creating a table, at once or by a commit.
    CreateTable = "create-table",
    /// Preparing a table that a later commit creates.
    StageTable = "stage-table",
    /// Reading the metadata of a table, or whether it exists.
    LoadTable = "load-table",
    /// Committing to a table.
    CommitTable = "commit-table",
    /// Dropping a table without deleting its files.
    DropTable = "drop-table",
    /// Dropping a table and deleting its files.
    PurgeTable = "purge-table",
    /// Registering an existing metadata file as a table, or in place of the metadata of one.
    RegisterTable = "register-table",
    /// Removing a table from the catalog and returning its metadata.
    UnregisterTable = "unregister-table",
    /// Renaming a table.
    RenameTable = "rename-table",
    /// Sending a metrics report of a table.
    ReportMetrics = "report-metrics",
    /// Planning a scan of a table, and everything about the plan afterwards.
    PlanScan = "plan-scan",
    /// Listing the views of a namespace.
    ListViews = "list-views",
    /// Creating a view.
    CreateView = "create-view",
    /// Reading the metadata of a view, or whether it exists.
    LoadView = "load-view",
    /// Committing to a view.
    CommitView = "commit-view",
    /// Dropping a view.
    DropView = "drop-view",
    /// Registering an existing metadata file as a view.
    RegisterView = "register-view",
    /// Renaming a view.
    RenameView = "rename-view",
    /// Reading a maintenance policy.
    LoadPolicy = "load-policy",
    /// Setting a maintenance policy.
    PutPolicy = "put-policy",
    /// Deleting a maintenance policy.
    DeletePolicy = "delete-policy",
    /// Reading the policy, state and explanation of the maintenance of a table.
    ExplainMaintenance = "explain-maintenance",
    /// Reading the history of the metadata of a table.
    LoadHistory = "load-history",
    /// Reading the folders that a table owns, and asking which other files its maintenance may read.
    LoadFolders = "load-folders",
    /// Pausing the maintenance of a table.
    Pause = "pause",
    /// Resuming the maintenance of a table.
    Resume = "resume",
    /// Listing maintenance jobs.
    ListJobs = "list-jobs",
    /// Reading a maintenance job.
    LoadJob = "load-job",
    /// Queuing a maintenance job of a table.
    QueueJob = "queue-job",
    /// Cancelling a maintenance job.
    CancelJob = "cancel-job",
    /// Leasing maintenance jobs as a worker.
    LeaseJob = "lease-job",
    /// Reporting on a leased job: heartbeats, output files, files to read, its end.
    WorkOnJob = "work-on-job",
}
