-- What the WSO2 route keeps in base A, beside `articles` and `article_tombstones` with their row versions.
-- After it: insert into lakeport_route (id, origin) values (1, 'base_a');

create table lakeport_route (
    id integer primary key check (id = 1),
    origin text not null,
    confirmed_version bigint not null default 0,
    claimed_until bigint not null default 0,
    batch_rows integer not null default 500,
    confirmed_at bigint not null default 0
);

create table lakeport_counts (
    operation text not null,
    outcome text not null,
    rows bigint not null,
    primary key (operation, outcome)
);

create table lakeport_parked (
    external_id text primary key,
    external_version bigint not null,
    code text not null,
    detail text not null,
    parked_at timestamptz not null default now()
);

create view lakeport_clock as select extract(epoch from clock_timestamp())::bigint as seconds;

create view lakeport_lag as
select coalesce(greatest(0, extract(epoch from clock_timestamp() - min(at))), 0)::double precision as seconds
from (
    select updated_at as at from articles where row_version > (select confirmed_version from lakeport_route)
    union all
    select deleted_at from article_tombstones where row_version > (select confirmed_version from lakeport_route)
) as waiting;

-- Row versions are to be counted under a lock that is held until the commit, so that none comes in late.
create view lakeport_next as
select id, row_version, 'upsert' as op, title, content from articles
where row_version > (select confirmed_version from lakeport_route)
union all
select id, row_version, 'delete', '', '' from article_tombstones
where row_version > (select confirmed_version from lakeport_route)
order by row_version
limit (select batch_rows from lakeport_route);

-- A text that has too many bytes for what the core takes is replaced by one that is as surely refused, so that no row
-- stops the route by its size.
create view lakeport_sized as
select id, row_version, op,
    case when octet_length(title) > 4 * 200 then repeat('0', 201) else title end as title,
    case when octet_length(content) > 4 * 100000 then repeat('0', 100001) else content end as content
from lakeport_next;

create view lakeport_measured as
select *, sum(octet_length(content) + 1000) over (order by row_version) as bytes_so_far from lakeport_sized;

create view lakeport_batch as
select json_build_object('operations', json_agg(operation))::text as body, max(row_version) as last_version
from (
    select row_version, case op
        when 'delete' then json_build_object(
            'op', op, 'origin', origin, 'external_id', changed.id::text, 'external_version', row_version)
        else json_build_object(
            'op', op, 'origin', origin, 'external_id', changed.id::text, 'external_version', row_version,
            'title', title, 'content', content)
        end as operation
    from lakeport_measured as changed cross join lakeport_route
    where bytes_so_far <= 4000000
) as operations
having count(*) > 0;

-- Insert what was sent and what was answered: the refused are parked and the confirmed version moves, in one statement.
create view lakeport_answers as select ''::text as sent, ''::text as answer where false;

create function lakeport_park(operation jsonb, code text, detail text) returns void language sql as $$
    insert into lakeport_parked (external_id, external_version, code, detail)
    values (operation ->> 'external_id', (operation ->> 'external_version')::bigint, code, detail)
    on conflict (external_id) do update set external_version = excluded.external_version, code = excluded.code,
        detail = excluded.detail, parked_at = now();
$$;

create function lakeport_answered() returns trigger language plpgsql as $$
declare
    operations constant jsonb := new.sent::jsonb -> 'operations';
    answer constant jsonb := new.answer::jsonb;
begin
    if (
        select count(*) = jsonb_array_length(operations) and count(distinct place) = count(*)
            and min(place) = 0 and max(place) = count(*) - 1
            and bool_and(outcome is null or outcome in ('created', 'updated', 'unchanged', 'stale', 'deleted'))
        from (
            select (each ->> 'index')::integer as place, coalesce(each ->> 'outcome', '') as outcome
            from jsonb_array_elements(answer -> 'data') as each
            union all
            select (each ->> 'index')::integer, null from jsonb_array_elements(answer -> 'errors') as each
        ) as spoken
    ) is not true then
        raise exception 'the answer does not speak of each operation once';
    end if;
    delete from lakeport_parked where external_id in (
        select operations -> (each ->> 'index')::integer ->> 'external_id'
        from jsonb_array_elements(answer -> 'data') as each
    );
    perform lakeport_park(operations -> (each ->> 'index')::integer, each ->> 'code', each ->> 'detail')
    from jsonb_array_elements(answer -> 'errors') as each;
    insert into lakeport_counts (operation, outcome, rows)
    select operations -> (each ->> 'index')::integer ->> 'op', coalesce(each ->> 'outcome', 'parked'), count(*)
    from jsonb_array_elements((answer -> 'data') || (answer -> 'errors')) as each
    group by 1, 2
    on conflict (operation, outcome) do update set rows = lakeport_counts.rows + excluded.rows;
    update lakeport_route set
        claimed_until = 0,
        confirmed_at = (select seconds from lakeport_clock),
        batch_rows = least(500, 2 * batch_rows),
        confirmed_version = greatest(confirmed_version, (
            select max((each ->> 'external_version')::bigint) from jsonb_array_elements(operations) as each
        ));
    return new;
end $$;

create trigger lakeport_answered instead of insert on lakeport_answers
for each row execute function lakeport_answered();

-- Insert a batch that the core refuses as a whole: it is halved until the row is alone that it is refused for.
create view lakeport_refusals as select ''::text as sent, ''::text as status where false;

create function lakeport_refused() returns trigger language plpgsql as $$
declare
    operations constant jsonb := new.sent::jsonb -> 'operations';
    is_alone constant boolean := jsonb_array_length(operations) = 1;
begin
    if is_alone then
        perform lakeport_park(operations -> 0, 'refused', 'the core answered ' || new.status);
        insert into lakeport_counts (operation, outcome, rows) values (operations -> 0 ->> 'op', 'parked', 1)
        on conflict (operation, outcome) do update set rows = lakeport_counts.rows + 1;
    end if;
    update lakeport_route set
        claimed_until = 0,
        batch_rows = greatest(1, jsonb_array_length(operations) / 2),
        confirmed_version = case
            when is_alone then greatest(confirmed_version, (operations -> 0 ->> 'external_version')::bigint)
            else confirmed_version end;
    return new;
end $$;

create trigger lakeport_refused instead of insert on lakeport_refusals
for each row execute function lakeport_refused();
