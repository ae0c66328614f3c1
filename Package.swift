// swift-tools-version: 6.2
import PackageDescription

let baseSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .treatAllWarnings(as: .error),
]

let settings = baseSettings + [.enableUpcomingFeature("MemberImportVisibility")]

func module(
    _ name: String, _ dependencies: [Target.Dependency] = [],
    settings: [SwiftSetting] = settings
) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Modules/\(name)", swiftSettings: settings)
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil
) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", resources: resources,
        swiftSettings: settings)
}

func program(_ name: String, at path: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

let package = Package(
    name: "swift-dstreams",
    platforms: [.macOS("15.0")],
    products: [
        .library(name: "BatchEngine", targets: ["BatchEngine"]),
        .library(name: "DStreamCore", targets: ["DStreamCore"]),
        .library(name: "JobGeneration", targets: ["JobGeneration"]),
        .library(name: "ProcessEngine", targets: ["ProcessEngine"]),
        .library(name: "ReceiverRuntime", targets: ["ReceiverRuntime"]),
        .library(name: "FaultTolerance", targets: ["FaultTolerance"]),
        .library(name: "StreamingContext", targets: ["StreamingContext"]),
        .library(name: "DStreamTestKit", targets: ["DStreamTestKit"]),
        .library(name: "SQLiteSink", targets: ["SQLiteSink"]),
        .executable(name: "bench", targets: ["bench"]),
        .executable(name: "budgets", targets: ["budgets"]),
        .executable(name: "crash", targets: ["crash"]),
        .executable(name: "fuzz", targets: ["fuzz"]),
        .executable(name: "inspect", targets: ["inspect"]),
        .executable(name: "textsource", targets: ["textsource"]),
        .executable(name: "workerprobe", targets: ["workerprobe"]),
        .executable(name: "NetworkWordCount", targets: ["NetworkWordCount"]),
        .executable(name: "CustomReceiver", targets: ["CustomReceiver"]),
        .executable(name: "HashtagTopK", targets: ["HashtagTopK"]),
        .executable(name: "HdfsWordCount", targets: ["HdfsWordCount"]),
        .executable(name: "PageViewStream", targets: ["PageViewStream"]),
        .executable(name: "QueueStream", targets: ["QueueStream"]),
        .executable(name: "RawNetworkGrep", targets: ["RawNetworkGrep"]),
        .executable(name: "RecoverableNetworkWordCount", targets: ["RecoverableNetworkWordCount"]),
        .executable(name: "StatefulNetworkWordCount", targets: ["StatefulNetworkWordCount"]),
        .executable(name: "WindowedNetworkWordCount", targets: ["WindowedNetworkWordCount"]),
    ],
    traits: [
        .trait(
            name: "SQLite",
            description: "SQLiteSink, exactly-once output into SQLite; needs libsqlite3-dev.")
    ],
    targets: [
        // The system shim cannot have MemberImportVisibility: in optimised builds on Linux the
        // compiler attributes `timespec` to a private module of the toolchain.
        module("BatchEngine", ["CFileStatus", "CPoll", "CPrefetch"], settings: baseSettings),
        .systemLibrary(name: "CFileStatus", path: "Modules/CFileStatus"),
        .systemLibrary(name: "CPoll", path: "Modules/CPoll"),
        .systemLibrary(name: "CPrefetch", path: "Modules/CPrefetch"),
        module("DStreamCore", ["BatchEngine"]),
        module("JobGeneration", ["DStreamCore", "BatchEngine"]),
        module("ReceiverRuntime", ["DStreamCore", "BatchEngine"]),
        module("FaultTolerance", ["DStreamCore", "BatchEngine", "CChecksum"]),
        .systemLibrary(name: "CChecksum", path: "Modules/CChecksum"),
        module("ProcessEngine", ["BatchEngine"]),
        module(
            "StreamingContext",
            [
                "BatchEngine", "DStreamCore", "JobGeneration", "ReceiverRuntime", "FaultTolerance",
                "ProcessEngine",
            ]),
        // Without the trait the module is empty, and neither header nor library is needed.
        module(
            "SQLiteSink",
            [
                "DStreamCore", "BatchEngine",
                .target(name: "CSQLite", condition: .when(traits: ["SQLite"])),
            ]),
        .systemLibrary(
            name: "CSQLite", path: "Modules/CSQLite", pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite"])]),
        module(
            "DStreamTestKit",
            [
                "BatchEngine", "DStreamCore", "JobGeneration", "ReceiverRuntime", "FaultTolerance",
                "ProcessEngine", "StreamingContext",
            ]),
        program(
            "bench", at: "Tools/bench",
            ["StreamingContext", "ProcessEngine", "BatchEngine", "DStreamTestKit"]),
        program(
            "budgets", at: "Tools/budgets",
            [
                "StreamingContext", "ReceiverRuntime", "FaultTolerance", "DStreamCore",
                "BatchEngine", "DStreamTestKit",
            ]),
        program(
            "crash", at: "Tools/crash",
            [
                "StreamingContext", "FaultTolerance", "DStreamCore", "BatchEngine", "SQLiteSink",
                .target(name: "CSQLite", condition: .when(traits: ["SQLite"])),
            ]),
        program(
            "fuzz", at: "Tools/fuzz",
            [
                "BatchEngine", "DStreamCore", "FaultTolerance", "ReceiverRuntime", "ProcessEngine",
                "DStreamTestKit",
            ]),
        program(
            "inspect", at: "Tools/inspect",
            ["FaultTolerance", "ReceiverRuntime", "DStreamCore", "BatchEngine"]),
        program(
            "workerprobe", at: "Tools/workerprobe",
            ["StreamingContext", "ProcessEngine", "DStreamCore", "BatchEngine", "DStreamTestKit"]),
        program("textsource", at: "Tools/textsource", ["BatchEngine"]),
        program(
            "NetworkWordCount", at: "Docs/Examples/NetworkWordCount", ["StreamingContext"]),
        program("CustomReceiver", at: "Docs/Examples/CustomReceiver", ["StreamingContext"]),
        program("HashtagTopK", at: "Docs/Examples/HashtagTopK", ["StreamingContext"]),
        program("HdfsWordCount", at: "Docs/Examples/HdfsWordCount", ["StreamingContext"]),
        program("PageViewStream", at: "Docs/Examples/PageViewStream", ["StreamingContext"]),
        program("QueueStream", at: "Docs/Examples/QueueStream", ["StreamingContext"]),
        program("RawNetworkGrep", at: "Docs/Examples/RawNetworkGrep", ["StreamingContext"]),
        program(
            "RecoverableNetworkWordCount", at: "Docs/Examples/RecoverableNetworkWordCount",
            ["StreamingContext"]),
        program(
            "StatefulNetworkWordCount", at: "Docs/Examples/StatefulNetworkWordCount",
            ["StreamingContext"]),
        program(
            "WindowedNetworkWordCount", at: "Docs/Examples/WindowedNetworkWordCount",
            ["StreamingContext"]),
        tests("BatchEngineTests", ["BatchEngine", "DStreamTestKit"]),
        tests("DStreamCoreTests", ["DStreamCore", "BatchEngine", "DStreamTestKit"]),
        tests(
            "JobGenerationTests",
            ["JobGeneration", "DStreamCore", "BatchEngine", "DStreamTestKit"]),
        tests(
            "ReceiverRuntimeTests",
            ["ReceiverRuntime", "DStreamCore", "BatchEngine", "DStreamTestKit"]),
        tests(
            "FaultToleranceTests",
            ["FaultTolerance", "DStreamCore", "BatchEngine", "DStreamTestKit"]),
        tests(
            "SQLiteSinkTests",
            [
                "SQLiteSink", "StreamingContext", "FaultTolerance", "DStreamCore", "BatchEngine",
                "DStreamTestKit",
                .target(name: "CSQLite", condition: .when(traits: ["SQLite"])),
            ]),
        tests("TidyTests", []),
        // It runs the examples as programs, and so does not depend on them.
        tests("ExamplesTests", ["BatchEngine", "DStreamTestKit", "StreamingContext"]),
        // It runs the probe as a program.
        tests(
            "ProcessEngineTests",
            [
                "ProcessEngine", "StreamingContext", "FaultTolerance", "DStreamCore", "BatchEngine",
                "DStreamTestKit", "workerprobe",
            ]),
        tests(
            "DStreamTestKitTests",
            [
                "BatchEngine", "DStreamCore", "JobGeneration", "ReceiverRuntime", "FaultTolerance",
                "StreamingContext", "DStreamTestKit",
            ]),
        tests(
            "StreamingContextTests",
            [
                "BatchEngine", "DStreamCore", "ReceiverRuntime", "FaultTolerance",
                "StreamingContext", "DStreamTestKit",
            ]),
        tests(
            "SemanticsTests",
            [
                "BatchEngine", "DStreamCore", "JobGeneration", "ReceiverRuntime",
                "FaultTolerance", "StreamingContext", "DStreamTestKit",
            ]),
        tests(
            "PublicAPITests",
            [
                "BatchEngine", "DStreamCore", "JobGeneration", "ReceiverRuntime",
                "FaultTolerance", "StreamingContext", "DStreamTestKit", "SQLiteSink",
            ]),
        tests(
            "ConformanceTests",
            [
                "BatchEngine", "DStreamCore", "JobGeneration", "ReceiverRuntime",
                "FaultTolerance", "StreamingContext", "DStreamTestKit",
            ]),
    ]
)
