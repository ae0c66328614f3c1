/// What the frozen graph of a program consists of, by number: equal in every process that built it.
public struct EngineProgram: Sendable {
    private struct Tables: Sendable {
        let number: Int
        let site: OperatorSite
        let make: @Sendable () -> any ReplicatedState
    }

    /// The kernels that plans name.
    public private(set) var kernels: [KernelID: Kernel] = [:]
    /// Describes the graph and the numbers of its kernels; see `DStreamGraph.fingerprint`.
    public var fingerprint = ""
    /// The type that builds the graph in other processes; nil: nothing does.
    public var application: String?
    /// Hears of stages that were made in a body of the user's, and so run in the driver: the batch
    /// in milliseconds, and the operator.
    public var onDriverStage: @Sendable (Int64?, OperatorSite) -> Void = { _, _ in }
    /// Makes an error again from what it says of itself; nil: there is no such code.
    package var remakeError:
        @Sendable (
            _ codeName: String, _ message: String, _ site: OperatorSite?,
            _ underlying: (any Error)?
        ) -> (any Error)? = { _, _, _, _ in nil }
    package var accumulators: [any SharedSum] = []
    /// What runs in processes of its own, by number.
    package var services: [Int: WorkerService] = [:]
    private var tables: [StateID: Tables] = [:]
    private var next = 0

    /// Makes a program without kernels.
    public init() {}

    /// Gives the next number to a kernel and keeps it.
    @usableFromInline
    package mutating func add(_ make: (KernelID) -> Kernel) -> Kernel {
        let kernel = make(.graph(next))
        next += 1
        kernels[kernel.id] = kernel
        return kernel
    }

    /// Describes which operator has which number: one after the other, each behind a semicolon.
    package var kernelFingerprint: String {
        kernels.values.sorted { $0.id.graphNumber < $1.id.graphNumber }
            .map { ";kernel \($0.id.graphNumber):\($0.site.name)" }.joined()
    }

    /// Says of which types an operator's tables are.
    @usableFromInline
    package mutating func keepState(
        _ id: StateID, _ site: OperatorSite, in make: @escaping @Sendable () -> any ReplicatedState
    ) {
        tables[id] = Tables(number: tables.count, site: site, make: make)
    }

    /// Whether an operator keeps its state in tables.
    package func keepsTables(of id: StateID) -> Bool { tables[id] != nil }

    /// The table of a partition of an operator; nil when the operator has no tables.
    package func cell(
        of id: StateID, partition: Int, in store: any StateStore
    ) throws -> (any ReplicatedState)? {
        try tables[id].flatMap {
            try store.cell(of: id, partition: partition, make: $0.make) as? any ReplicatedState
        }
    }

    /// The kernels whose outputs cannot become bytes, with the type that has no codec.
    package var codecProblems: [EngineError] {
        let ordered = kernels.values.sorted { $0.id.graphNumber < $1.id.graphNumber }
        let elements = ordered.compactMap { kernel in
            kernel.typeWithoutCodec().map { ("what \(kernel.site.name) makes", $0, kernel.site) }
        }
        let states = tables.values.sorted { $0.number < $1.number }.compactMap { table in
            table.make().typeWithoutCodec.map { type in
                ("the state of \(table.site.name)", type, table.site)
            }
        }
        return (elements + states).map { what, type, site in
            EngineError(
                .codecMissing,
                "\(what) goes to another process and \(type) has no codec; declare the type "
                    + "StreamCodable", site: site)
        }
    }
}

extension KernelID {
    /// The number in declaration order; negative for kernels of no frozen graph.
    package var graphNumber: Int { if case .graph(let number) = self { number } else { -1 } }
}
