public import BatchEngine

/// The elements of a stream for a body that runs in the driver.
///
/// The user's closures up to there run where the engine runs kernels: an engine that leaves the
/// process computes the elements first, and the body finds them as after a collect.
@usableFromInline
struct DriverInput<Element: Sendable>: Sendable {
    @usableFromInline let site: OperatorSite
    private let frozen = Frozen<(pipe: Pipe<Element>, kernel: Kernel?)>()

    @usableFromInline
    init(_ site: OperatorSite) { self.site = site }

    /// Takes the stream's chain when the graph is frozen.
    @inlinable
    func freeze(_ pipe: Pipe<Element>, _ program: inout EngineProgram) {
        let kernel = pipe.isPlain ? nil : program.add { pipe.materializeKernel(id: $0, site) }
        set(pipe, kernel)
    }

    @usableFromInline
    func set(_ pipe: Pipe<Element>, _ kernel: Kernel?) { frozen.set((pipe, kernel)) }

    /// The stream's RDD of a batch.
    @usableFromInline
    func rdd(_ plan: Plan, _ batch: BatchContext) -> RDD<Element> {
        let (pipe, kernel) = frozen.value
        guard let kernel, batch.engine.capabilities.leavesProcess else {
            return RDD(context: batch, plan: plan, pipe: pipe)
        }
        let elements = Dataset(
            kernel: kernel, input: plan, level: .memoryOnly, codec: nil, cutsLineage: false)
        return RDD(context: batch, plan: .dataset(elements), pipe: .source(site))
    }
}
